#!/usr/bin/env python3
"""`tenure import` held against the tools it imports from: import_test.py TENURE LIBRARY KNOWN_PROGRAM.

Oracles: heaptrack_print on the same file, and `tenure record` of the same program.
"""

import gzip
import json
import os
import re
import shutil
import subprocess
import sys
import unittest

from recording_case import KNOWN, RecordingCase

WORDS = ("keep", 4, "churn", 3, "hand", 5)


def plain(name):
    """A function's name as heaptrack_print shortens it: without template arguments and the file."""
    name = re.sub(r" \([^()]*\.[A-Za-z]+\)$", "", name)
    result, depth = "", 0
    for byte in name.replace("operator new", "operator_new").replace("operator()", "operator_call"):
        depth -= byte == ">"
        if depth == 0:
            result += byte
        depth += byte == "<"
    return result


def sums(text):
    """Of folded stacks: by the functions in them, since heaptrack_print has its own order of inlined ones."""
    result = {}
    for line in text.splitlines():
        stack, value = line.rsplit(" ", 1)
        frames = [plain(frame) for frame in stack.split(";") if frame]
        # What it leaves out now and then.
        frames = tuple(sorted(frame for frame in frames
                              if not frame.startswith(("operator_new", "_start", "__libc_start"))))
        result[frames] = result.get(frames, 0) + int(value)
    return {frames: value for frames, value in result.items() if value != 0}


class ImportCase(RecordingCase):
    maxDiff = None

    def setUp(self):
        super().setUp()
        self.imported = self.folder / "imported.tenure"

    def take(self, file, *words, code=0):
        return self.tenure("import", "-o", self.imported, *words, file, code=code)

    def report_of(self, recording, *words):
        return json.loads(self.tenure("report", "--json", *words, recording).stdout)

    def left_over(self):
        return [path.name for path in self.folder.iterdir() if path.name.startswith(".")]

    def assert_refused(self, content, sentence, code=2):
        file = self.folder / "wrong"
        file.write_bytes(content)
        done = self.take(file, code=code)
        self.assertEqual((done.stdout, done.stderr.count(b"\n")), (b"", 1), done.stderr)
        self.assertIn(sentence, done.stderr)
        self.assertFalse(self.imported.exists())
        self.assertEqual(self.left_over(), [])


@unittest.skipUnless(shutil.which("heaptrack") and shutil.which("heaptrack_print"), "needs heaptrack")
class HeaptrackTest(ImportCase):
    def setUp(self):
        super().setUp()
        done = subprocess.run(["heaptrack", "-o", self.folder / "data", KNOWN, *map(str, WORDS)],
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=200)
        files = [path for path in self.folder.iterdir() if path.name.startswith("data.")]
        if done.returncode != 0 or len(files) != 1:
            self.skipTest("heaptrack cannot run here")
        self.data = files[0]

    def print(self, *words):
        return subprocess.run(["heaptrack_print", "-f", self.data, "--disable-embedded-suppressions",
                               "--disable-builtin-suppressions", *words], env={**os.environ, "LC_ALL": "C"},
                              capture_output=True, text=True, check=True, timeout=200).stdout

    def test_every_stack_has_the_sums_of_heaptrack_print(self):
        self.take(self.data)
        for theirs, value, unit in (("allocations", "alloc", "blocks"), ("leaked", "inuse", "bytes"),
                                    ("peak", "peak", "bytes")):
            file = self.folder / "stacks"
            self.print("-F", file, "--flamegraph-cost-type", theirs)
            expected = sums(file.read_text())
            ours = self.tenure("export", "-f", "folded", "--value", value, "--unit", unit, self.imported).stdout
            found = sums(ours.decode())
            self.assertEqual({key: (found.get(key), expected.get(key)) for key in found.keys() | expected.keys()
                              if found.get(key) != expected.get(key)}, {}, theirs)
            self.assertGreater(len(expected), 1)

    def test_figures_are_those_of_heaptrack_print_and_of_a_recording(self):
        self.take(self.data)
        document = self.report_of(self.imported)
        process = self.only(document)
        self.assert_exact(process)
        printed = self.print("-p", "0", "-a", "0", "-T", "0")
        calls = int(re.search(r"calls to allocation functions: (\d+)", printed)[1])
        self.assertEqual(process["allocated"]["blocks"], calls)
        self.assertRegex(document["imported"]["tool"], r"^heaptrack \d+\.\d+\.\d+$")
        self.assertEqual(document["imported"]["not_told"], ["lives", "threads"])
        self.assertNotIn("freed_by_another_thread", process)
        # What the program itself does is the same under both.
        self.record(KNOWN, *WORDS)
        of = {group["name"].split("(")[0]: group for group in self.only(self.report())["by_function"]}
        for group in process["by_function"]:
            name = group["name"].split("(")[0]
            if name.endswith("_blocks"):
                for figure in ("allocated", "freed", "never_freed"):
                    self.assertEqual(group[figure], of[name][figure], (name, figure))
        changed = json.loads(self.tenure("diff", "--json", "--by", "left", self.recording, self.imported).stdout)
        self.assertEqual([site["frames"] for site in changed["by_function"]
                          if "_blocks" in site["frames"][0] and site["left_bytes"]["difference"] != 0], [])

    def test_names_are_in_it(self):
        self.take(self.data)
        said = self.tenure("export", "-f", "csv", self.imported).stdout
        shutil.rmtree(self.folder / "cache", ignore_errors=True)
        text = subprocess.run(["zstdcat" if self.data.suffix == ".zst" else "zcat", self.data], capture_output=True)
        if text.returncode == 0:
            moved = text.stdout.replace(str(KNOWN).encode(), b"/" * len(str(KNOWN)))
            (self.folder / "moved.gz").write_bytes(gzip.compress(moved))
            self.take(self.folder / "moved.gz")
            functions = [line.split(b",")[2] for line in said.splitlines()]
            again = self.tenure("export", "-f", "csv", self.imported).stdout
            self.assertEqual([line.split(b",")[2] for line in again.splitlines()], functions)

    def test_raw_data_are_refused_with_the_way_out(self):
        subprocess.run(["heaptrack", "--raw", "-o", self.folder / "raw", KNOWN, "keep", "1"], stdin=subprocess.DEVNULL,
                       capture_output=True, timeout=200, check=True)
        done = self.take(next(path for path in self.folder.iterdir() if path.name.startswith("raw.")), code=2)
        self.assertIn(b"heaptrack_interpret", done.stderr)


# Two stacks, main < load and main; the last free is of what nothing says.
TEXT = b"""v 10400 3
X ./made --fast
I 1000 fffff
s 9 /bin/made
s 4 main
s 4 load
s 7 made.cc
i 1000 1 2 4 a
t 1 0
i 2000 1 3 4 14 2 4 b
t 2 1
a 10 2
+ 0
c a
+ 0
+ 0
- 0
a 20 1
+ 1
c 14
- 1
- 1
c 1e
"""


class TextTest(ImportCase):
    def test_a_file_that_was_written_by_hand(self):
        file = self.folder / "made.gz"
        for content in (TEXT, gzip.compress(TEXT), gzip.compress(TEXT[:50]) + gzip.compress(TEXT[50:])):
            file.write_bytes(content)
            self.take(file)
            process = self.only(self.report_of(self.imported))
            self.assertEqual(process["command"], "./made --fast")
            self.assertEqual(process["allocated"], {"blocks": 4, "bytes": 0x50})
            self.assertEqual(process["peak"], {"blocks": 3, "bytes": 0x40})
            self.assertEqual((process["peak_ns"], process["duration_ns"], process["stray_frees"]),
                             (10_000_000, 30_000_000, 1))
            self.assertEqual(process["never_freed"], {"blocks": 2, "bytes": 0x20})
            self.assertEqual({group["name"]: group["allocated"]["bytes"] for group in process["by_function"]},
                             {"load": 0x30, "main": 0x20})
        stacks = self.tenure("export", "-f", "folded", "--value", "alloc", self.imported).stdout
        self.assertEqual(sorted(stacks.splitlines()), [b"main 32", b"main;main;load 48"])

    def test_standard_input_and_output(self):
        done = subprocess.run([sys.argv[1], "import", "-q", "-o", "-", "-"], input=gzip.compress(TEXT),
                              env=self.environment, capture_output=True, check=True)
        (self.folder / "made").write_bytes(TEXT)
        self.take(self.folder / "made")
        self.assertEqual(done.stdout, self.imported.read_bytes())
        self.assertEqual(done.stderr, b"")

    def test_what_heaptrack_does_not_tell_is_not_answered(self):
        (self.folder / "made").write_bytes(TEXT)
        self.take(self.folder / "made")
        for words, sentence in ((["lifetimes"], b"which of several blocks"),
                                (["report", "--thread", "1"], b"which threads"),
                                (["report", "--window", "1ms.."], b"which of several blocks"),
                                (["leaks", "--thread", "1"], b"which threads"),
                                (["diff", "--thread", "1", self.imported], b"which threads")):
            done = self.tenure(*words, self.imported, code=2)
            self.assertIn(sentence, done.stderr)
        leaks = json.loads(self.tenure("leaks", "--json", self.imported).stdout)
        self.assertEqual(self.only(leaks)["never_freed"], {"blocks": 2, "bytes": 0x20})
        self.tenure("check", "--max-peak", "64", "--max-leak", "32", self.imported)
        self.tenure("check", "--max-peak", "63", self.imported, code=1)
        self.assertEqual(self.only(self.report_of(self.imported, "--at", "5ms"))["at_moment"],
                         {"blocks": 1, "bytes": 0x10})

    def test_wrong_files_are_refused_in_one_sentence(self):
        for content, sentence in (
                (b"", b"it is empty"),
                (b"neither\n", b"does not begin"),
                (bytes(range(256)) * 9, b"does not begin"),
                (gzip.compress(TEXT)[:-30], b"cut off"),
                (gzip.compress(TEXT)[:-8] + bytes(8), b"damaged"),
                (TEXT[:-8], b"cut off within a line"),
                (b"v 10400\n", b"older than 1.0"),
                (b"v 10400 9\n", b"version 9"),
                (b"v 10400 3\n", b"no allocation"),
                (TEXT + b"+ 7\n", b"line 24 makes no sense: it names a block that was not told"),
                (TEXT + b"t 9 0\n", b"line 24 makes no sense"),
                (TEXT + b"i 1 99\n", b"line 24 makes no sense"),
                (TEXT + b"a 1 ffffffffffffffff\n", b"line 24 makes no sense"),
                (TEXT + b"a fffffffffffffffff 1\n", b"line 24 makes no sense"),
                (TEXT + b"s 9 short\n", b"not as long as it says"),
                (TEXT + b"q\n", b"begins as no line of heaptrack's"),
                (TEXT + b"s " + b"x" * (5 << 20), b"longer than any")):
            self.assert_refused(content, sentence)
        for words, code, sentence in ((["import", "x"], 2, b"needs a file to write to"),
                                      (["import", "-o", self.imported], 2, b"needs one file"),
                                      (["import", "-o", self.imported, self.folder / "nothing"], 2, b"cannot be read"),
                                      (["import", "-o", self.imported, self.folder], 2, b"is a folder"),
                                      (["import", "-o", "/no/where", KNOWN], 2, b"no folder")):
            self.assertIn(sentence, self.tenure(*words, code=code).stderr)
        (self.folder / "made").write_bytes(TEXT)
        self.assertIn(b"/dev/full", self.tenure("import", "-o", "/dev/full", self.folder / "made", code=70).stderr)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
