#!/usr/bin/env python3
"""`tenure simulate` from outside: its page is true, its outputs agree, wrong input ends in a sentence.

usage: simulate_test.py TENURE SOURCE_FOLDER
"""
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree

TENURE, SOURCE = (pathlib.Path(word).resolve() for word in sys.argv[1:3])
PAGE = (SOURCE / "docs/reference/simulate.md").read_text()


def run(*words, **more):
    return subprocess.run([TENURE, "simulate", *words], capture_output=True, text=True, timeout=120, check=False,
                          **more)


def block(kind):
    """The first one of its kind in the page."""
    return re.search(rf"^```{kind}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL).group(1)


class Simulate(unittest.TestCase):
    def setUp(self):
        held = tempfile.TemporaryDirectory()
        self.addCleanup(held.cleanup)
        self.folder = pathlib.Path(held.name)

    def made(self, text, name="trace"):
        path = self.folder / name
        path.write_text(text)
        return path

    def test_the_page_shows_what_its_command_prints(self):
        program = self.made(block("python"), "make_trace.py")
        trace = subprocess.run([sys.executable, program], capture_output=True, text=True, timeout=120, check=True)
        self.made(trace.stdout, "trace.csv")
        said = run("--plot", "trace.csv", cwd=self.folder)
        self.assertEqual(said.returncode, 0, said.stderr)
        self.assertEqual(said.stdout, block("text"))
        told = json.loads(run("--json", "--policy", "lru", "--size", "10%", self.folder / "trace.csv").stdout)
        self.assertEqual(told["results"], [json.loads(block("json"))])

    def test_outputs_agree(self):
        trace = self.made("".join(f"{i * i % 97},{10 + i % 97 % 7}\n" for i in range(2000)))
        answer, picture = self.folder / "answer", self.folder / "hits.svg"
        told = json.loads(run("--json", "--bytes", "--size", "50,10%,1K", trace).stdout)
        said = run("--bytes", "--size", "50,10%,1K", "-o", answer, "--svg", picture, trace)
        self.assertEqual((said.returncode, said.stdout, said.stderr), (0, "", ""))
        self.assertEqual(told["unit"], "bytes")
        rows = answer.read_text().split("% of the requests")[1].split("\n\n")[0]
        for policy in {one["policy"] for one in told["results"]}:
            figures = [f"{100 * one['hit_ratio']:.2f}" for one in told["results"] if one["policy"] == policy]
            self.assertRegex(rows, rf"(?m)^{policy} +" + " +".join(figures) + "$")
        drawn = xml.etree.ElementTree.parse(picture)
        texts = [one.text for one in drawn.iter("{http://www.w3.org/2000/svg}text")]
        self.assertLessEqual({"lru", "s3-fifo", "opt", "1.0 KiB"}, set(texts))

    def test_reads_standard_input(self):
        said = run("--policy", "lru", "--size", "2", "--json", "-", input="1\n2\n1\n3\n2\n")
        self.assertEqual(json.loads(said.stdout)["results"][0]["hits"], 1)

    def test_one_sentence_and_exit_code_two(self):
        trace = self.made("1\n2\n")
        damaged = self.made("1\n2\nx\n", "damaged")
        size = "--size takes sizes such as 1000, 64K or 10%, with commas between, not"
        for words, sentence in [
            ([], "simulate needs one trace: tenure simulate [OPTIONS] TRACE."),
            ([trace, trace], "simulate needs one trace: tenure simulate [OPTIONS] TRACE."),
            (["--policy", "lrx", trace], "there is no policy 'lrx'; did you mean lru?"),
            (["--policy", "lru,", trace], "there is no policy ''. See `tenure help simulate`."),
            (["--size", "0", trace], f"{size} '0'."),
            (["--size", "101%", trace], f"{size} '101%'."),
            (["--bytes", trace], f"'{trace}' (integers) does not say how large its objects are: leave --bytes out."),
            (["--format", "csw", trace], "--format takes auto, oracle-general, csv, integers, arc or lirs, not 'csw'; "
                                         "did you mean csv?"),
            (["--columns", "id=x", trace], "--columns takes the numbers of columns such as id=2,size=3, not 'id=x'."),
            (["--columns", "id=1", "--format", "arc", trace], "--columns is of csv, not of --format arc."),
            (["--threads", "0", trace], "--threads and --requests take 1 at least."),
            (["--json", "--plot", trace], "--plot is of text; leave --json out, or draw with --svg."),
            (["--format", "integers", damaged], f"'{damaged}', read as integers: line 3 is no number: 'x'."),
            ([self.folder / "none"], f"'{self.folder / 'none'}' cannot be read: No such file or directory."),
        ]:
            said = run(*words)
            self.assertEqual((said.returncode, said.stdout, said.stderr), (2, "", f"tenure: {sentence}\n"), words)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
