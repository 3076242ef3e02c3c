"""./run says how far the build is while it builds, and shows a failed build's last words."""
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
# In place of cmake: ninja's lines, then nothing until the progress was told (or two minutes have passed).
SLOW = """#!/bin/bash
printf '[1/9] Building a\\n[4/9] Building b\\n'
for _ in {1..1200}; do grep -q 'steps done' "$TOLD" && break; sleep 0.1; done
"""
FAILING = "#!/bin/bash\nprintf '[1/9] Building a\\nFAILED: a\\n'\nexit 1\n"


def run(cmake):
    with tempfile.TemporaryDirectory() as name:
        root = pathlib.Path(name)
        shutil.copy(ROOT / "run", root)
        scripts = {"path/cmake": cmake, "tools/install_packages.sh": "#!/bin/bash\n",
                   "build/release/bin/tenure": "#!/bin/bash\necho watched \"$@\"\n"}
        for place, text in {**scripts, "build/release/build.ninja": ""}.items():
            (root / place).parent.mkdir(parents=True, exist_ok=True)
            (root / place).write_text(text)
            (root / place).chmod(0o755)
        told = root / "told"
        with told.open("w") as errors:
            done = subprocess.run([root / "run", "--", "true"], stdout=subprocess.PIPE, stderr=errors, text=True,
                                  check=False, env={"PATH": f"{root}/path:{os.environ['PATH']}", "TOLD": str(told)})
        return done.returncode, done.stdout, told.read_text().splitlines()


class Run(unittest.TestCase):
    def test_tells_how_far_the_build_is(self):
        code, out, told = run(SLOW)
        self.assertEqual((code, out), (0, "watched run -- true\n"))
        self.assertIn("run: building: 4 of 9 steps done", told)
        self.assertEqual(told[-1], "run: watching: true")

    def test_tells_why_the_build_failed(self):
        code, out, told = run(FAILING)
        self.assertEqual((code, out), (70, ""))
        self.assertEqual(told, ["[1/9] Building a", "FAILED: a",
                                "run: the build failed; its last words are above"])


if __name__ == "__main__":
    unittest.main()
