#!/usr/bin/env python3
"""Recorded stacks begin in the caller of the heap, whichever function that was: surface_test.py TENURE LIBRARY SURFACE.

SURFACE is linked with the heap, so frames of the heap would be the program's own and no command would leave them out.
The oracle is what the program says of itself.
"""

import csv
import io
import subprocess
import sys
import unittest

from recording_case import KNOWN, TENURE, RecordingCase

PREFIX = "by_"


class SurfaceTest(RecordingCase):
    def setUp(self):
        super().setUp()
        done = subprocess.run([TENURE, "record", "-q", "--free-stacks", "-o", self.recording, "--", KNOWN],
                              env=self.environment, capture_output=True, text=True, timeout=120, check=True)
        self.told = {}
        for line in done.stdout.splitlines():
            name, allocated, freed = line.split()
            so_far = self.told.get(name, (0, 0))
            self.told[name] = (so_far[0] + int(allocated), so_far[1] + int(freed))
        text = self.tenure("export", "-f", "csv", self.recording).stdout.decode()
        self.rows = [(row["stack"].split(";"), int(row["allocated_blocks"]), int(row["frees_blocks"]))
                     for row in csv.DictReader(io.StringIO(text))]

    def innermost(self):
        """Blocks had and let go, by the innermost frame, where one of the program's named functions is in the stack."""
        found = {}
        for stack, allocated, freed in self.rows:
            if any(frame.startswith(PREFIX) for frame in stack):
                so_far = found.get(stack[-1], (0, 0))
                found[stack[-1]] = (so_far[0] + allocated, so_far[1] + freed)
        return found

    def test_each_stack_begins_in_the_function_that_called_the_heap(self):
        self.assertGreater(len(self.told), 40)
        self.assertEqual(self.innermost(), self.told)

    def test_no_frame_of_the_heap_is_recorded(self):
        own = ("tenure::core", "tenure::telemetry")
        for stack, _, _ in self.rows:
            self.assertFalse([frame for frame in stack if frame.startswith(own)], stack)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
