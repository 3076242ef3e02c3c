"""The order in which files are looked at, and what is said of those that were not, with a clang-tidy made for it."""
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

from run_clang_tidy import commands, in_order, summary  # noqa: E402  (the path comes first)

# Files named bad have a finding; slow ones take longer than anybody waits.
FAKE = """#!/bin/bash
for file; do :; done
echo "$file" >>"$(dirname "$0")/seen"
case $file in
  *bad*) echo "$file: finding"; exit 1 ;;
  *slow*) exec sleep 100 ;;
esac
"""


def paths(*names):
    return [pathlib.Path(name) for name in names]


class Order(unittest.TestCase):
    def test_sources_are_those_of_src_that_are_compiled(self):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            together = folder / "src/Unity/unity_0.cxx"
            together.parent.mkdir(parents=True)
            together.write_text("".join(f'#include "{folder}/{file}"\n' for file in ("src/core/d.cc", "src/core/e.cc")))
            entries = [{"file": str(folder / file), "directory": name,
                        "command": f"c++ {kind} -o {output}/x.o -c {folder / file}"} for file, output, kind in (
                            ("src/library/b.cc", "src", "-O2"), ("src/core/a.cc", "tests", "-O0"),
                            ("tests/t.cc", "tests", "-O0"), ("src/instruments/c.cc", "src", "-O2"),
                            ("src/core/a.cc", "src", "-O2"), ("src/core/a.cc", "tests", "-O0"),
                            ("src/Unity/unity_0.cxx", "src", "-O2"))]
            (folder / "compile_commands.json").write_text(json.dumps(entries))
            found = commands(folder, folder)
            self.assertEqual(list(found), [folder / f"src/{file}.cc" for file in (
                "core/a", "core/d", "core/e", "instruments/c", "library/b")])
            for path, entry in found.items():
                self.assertEqual(entry["command"], f"c++ -O2 -o src/x.o -c {path}")
                self.assertEqual(entry["file"], str(path))

    def test_changed_files_come_first(self):
        files = paths("a", "b", "c", "d", "e")
        for commit in ("", "1", "2", "3"):
            order = in_order(files, set(paths("d", "b", "gone")), commit)
            self.assertEqual(order[:2], paths("b", "d"))
            self.assertEqual(sorted(order), files)

    def test_each_file_begins_the_round_of_some_commit(self):
        files = paths(*"abcdefgh")
        rounds = [in_order(files, set(), f"{number:040x}") for number in range(200)]
        self.assertEqual({order[0] for order in rounds}, set(files))
        for order in rounds:
            begin = files.index(order[0])
            self.assertEqual(order, files[begin:] + files[:begin])
        self.assertEqual(rounds[7], in_order(files, set(), f"{7:040x}"), "the same commit, the same order")

    def test_no_files(self):
        self.assertEqual(in_order([], set(), "1"), [])


class Headers(unittest.TestCase):
    def test_ours_are_looked_at_where_the_compiler_finds_them(self):
        found = re.search(r'^HeaderFilterRegex: "(.*)"$', (ROOT / ".clang-tidy").read_text(), re.MULTILINE)
        for header in ("/t/build/release/rooms/tenure_os/core/base/bits.h", "/t/src/library/gc/lock.h",
                       "/t/build/release/rooms/tenure_collect/wire/region.h", "/t/include/tenure/gc.hpp"):
            self.assertRegex(header, found.group(1))
        for header in ("/usr/include/c++/12/vector", "/t/include/tenure/tenure.h", "/usr/include/wire/x.h"):
            self.assertNotRegex(header, found.group(1))


class Run(unittest.TestCase):
    def tidy(self, folder, *names, seconds="60"):
        program = folder / "clang-tidy-19"
        program.write_text(FAKE)
        program.chmod(0o755)
        (folder / "compile_commands.json").write_text("[]")
        for name in names:
            (folder / name).write_text(f"// {name}")
        command = [sys.executable, ROOT / "tools/run_clang_tidy.py", "--build", folder, "--seconds", seconds, "--jobs",
                   "1", *(folder / name for name in names)]
        environment = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        return done.returncode, done.stdout.splitlines()

    def test_findings_fail_and_are_shown(self):
        with tempfile.TemporaryDirectory() as name:
            code, said = self.tidy(pathlib.Path(name), "good.cc", "bad.cc")
            self.assertEqual(code, 1)
            self.assertIn(f"{name}/bad.cc: finding", said)
            self.assertEqual(said[-1], "2 of 2 files looked at, 1 with findings")

    def test_what_passed_is_remembered(self):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            self.assertEqual(self.tidy(folder, "good.cc")[0], 0)
            code, said = self.tidy(folder, "good.cc", "other.cc")
            self.assertEqual(code, 0)
            self.assertEqual(said[-1], "1 of 2 files looked at, 1 unchanged since they passed, 0 with findings")
            self.assertEqual((folder / "seen").read_text().split(), [f"{name}/good.cc", f"{name}/other.cc"])

    def test_what_there_was_no_time_for_is_said(self):
        with tempfile.TemporaryDirectory() as name:
            code, said = self.tidy(pathlib.Path(name), "slow.cc", "good.cc", seconds="1")
            self.assertEqual(code, 0)
            self.assertEqual(said[-1], "0 of 2 files looked at, 2 NOT looked at for lack of time "
                                       "(0 of them changed), 0 with findings")

    def test_changed_files_that_there_was_no_time_for(self):
        files = paths("a", "b", "c", "d")
        self.assertIn("3 NOT looked at for lack of time (1 of them changed)",
                      summary(files, [], files[1:], {files[0], files[2]}, 0))


if __name__ == "__main__":
    unittest.main()
