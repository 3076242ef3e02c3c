#!/usr/bin/env python3
"""`tenure export -f heaptrack` held against heaptrack_print and the import.

Called with TENURE LIBRARY KNOWN_PROGRAM.

Oracles: heaptrack_print on the same file, stack by stack, and `tenure report` of the recording.
"""

import re
import shutil
import sys
import unittest

sys.dont_write_bytecode = True

from import_case import WORDS, ImportCase  # noqa: E402 (nothing is to be written beside them)
from recording_case import KNOWN  # noqa: E402


@unittest.skipUnless(shutil.which("heaptrack_print"), "needs heaptrack")
class HeaptrackExportTest(ImportCase):
    def setUp(self):
        super().setUp()
        self.data = self.folder / "data"
        self.record(KNOWN, *WORDS)

    def export(self, *words):
        return self.tenure("export", "-f", "heaptrack", *words, self.recording)

    def test_heaptrack_print_says_what_the_recording_says(self):
        self.export("-o", self.data)
        self.assert_printed(self.recording)
        process = self.only(self.report())
        printed = self.print("-p", "0", "-a", "0", "-T", "0")
        self.assertEqual(int(re.search(r"calls to allocation functions: (\d+)", printed)[1]),
                         process["allocated"]["blocks"])
        self.assertAlmostEqual(float(re.search(r"total runtime: ([\d.]+)s", printed)[1]),
                               process["duration_ns"] / 1e9, delta=0.02)
        self.assertEqual(self.export().stdout, self.data.read_bytes())

    def test_heaptrack_print_says_what_was_selected(self):
        selected = ("--function", "churn_blocks", "--size", "2000")
        self.export("-o", self.data, *selected)
        printed = self.print("-p", "0", "-a", "0", "-T", "0")
        self.assertEqual(int(re.search(r"calls to allocation functions: (\d+)", printed)[1]), (3 << 20) // 2000)
        # What was alive when the window began is no allocation of it.
        whole = self.only(self.report())
        window = f"{whole['duration_ns'] // 2}ns.."
        self.export("-o", self.data, "--window", window)
        printed = self.print("-p", "0", "-a", "0", "-T", "0")
        self.assertEqual(int(re.search(r"calls to allocation functions: (\d+)", printed)[1]),
                         self.only(self.report("--window", window))["allocated"]["blocks"])

    def test_what_was_exported_is_imported_as_it_was(self):
        self.export("-o", self.data)
        self.take(self.data)
        there, back = self.only(self.report()), self.only(self.report_of(self.imported))
        for figure in ("allocated", "freed", "never_freed", "peak"):
            self.assertEqual(there[figure], back[figure], figure)
        functions = [{group["name"]: [group[figure] for figure in ("allocated", "freed", "never_freed", "at_moment")]
                      for group in process["by_function"]} for process in (there, back)]
        self.assertEqual(functions[0], functions[1])

    def test_one_process_is_chosen(self):
        self.record("sh", "-c", f"{KNOWN} keep 1; {KNOWN} keep 2 & wait")
        said = self.export("-o", self.data).stderr.decode()
        self.assertIn("heaptrack's format holds one process: this is run_known_program", said)
        largest = max(self.report()["processes"], key=lambda one: one["allocated"]["bytes"])
        printed = self.print("-p", "0", "-a", "0", "-T", "0")
        self.assertEqual(int(re.search(r"calls to allocation functions: (\d+)", printed)[1]),
                         largest["allocated"]["blocks"])

    def test_an_output_that_cannot_be_written_is_said(self):
        done = self.tenure("export", "-f", "heaptrack", "-o", "/dev/full", self.recording, code=70)
        self.assertIn(b"No space left on device", done.stderr)

    def test_an_output_that_cannot_be_written_to_its_end_is_said_and_leaves_nothing(self):
        self.record(KNOWN, "churn", 400)
        whole = len(self.export().stdout)
        self.data.write_bytes(b"what was there")
        beside = sorted(self.folder.iterdir())
        for limit in (whole // 2, whole - 1):
            done = self.tenure("export", "-f", "heaptrack", "-o", self.data, self.recording, code=70, most_bytes=limit)
            self.assertEqual(done.stderr.decode(), f"tenure: '{self.data}' cannot be written: File too large.\n")
            self.assertEqual(sorted(self.folder.iterdir()), beside)
            self.assertEqual(self.data.read_bytes(), b"what was there")
        with open(self.folder / "out", "wb") as output:
            done = self.tenure("export", "-f", "heaptrack", self.recording, code=70, most_bytes=whole // 2,
                               stdout=output)
        self.assertEqual(done.stderr.decode(),
                         "tenure: the answer cannot be written to standard output: File too large.\n")
        self.tenure("export", "-f", "heaptrack", "-o", self.data, self.recording, most_bytes=whole)
        self.assertEqual(self.data.stat().st_size, whole)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
