"""What the tests of imports share, and those of what other tools read: heaptrack_print's word on a file."""

import json
import os
import re
import subprocess

from recording_case import RecordingCase

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

    def print(self, *words):
        return subprocess.run(["heaptrack_print", "-f", self.data, "--disable-embedded-suppressions",
                               "--disable-builtin-suppressions", *words], env={**os.environ, "LC_ALL": "C"},
                              capture_output=True, text=True, check=True, timeout=200).stdout

    def assert_printed(self, recording, *selected):
        """heaptrack_print says of the data, stack by stack, what is said of the recording."""
        for theirs, value, unit in (("allocations", "alloc", "blocks"), ("leaked", "inuse", "bytes"),
                                    ("peak", "peak", "bytes")):
            file = self.folder / "stacks"
            self.print("-F", file, "--flamegraph-cost-type", theirs)
            expected = sums(file.read_text())
            ours = self.tenure("export", "-f", "folded", "--value", value, "--unit", unit, *selected, recording).stdout
            found = sums(ours.decode())
            self.assertEqual({key: (found.get(key), expected.get(key)) for key in found.keys() | expected.keys()
                              if found.get(key) != expected.get(key)}, {}, theirs)
            self.assertGreater(len(expected), 1)

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
