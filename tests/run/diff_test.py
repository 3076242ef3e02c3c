#!/usr/bin/env python3
"""`tenure diff` on known programs: diff_test.py TENURE LIBRARY KNOWN_LIVES KNOWN_LIVES_OF_ANOTHER_BUILD."""

import json
import sys
import unittest

from recording_case import KNOWN, RecordingCase

OTHER = sys.argv[4]


class Diff(RecordingCase):
    def recorded(self, name, *command):
        self.recording = self.folder / name
        self.record(*command)
        return self.recording

    def diff(self, *words, code=0):
        return json.loads(self.tenure("diff", "--json", *words, code=code).stdout)

    def function(self, document, name):
        found = [one for one in document["by_function"] if one["frames"][0].split("(")[0] == name]
        self.assertLessEqual(len(found), 1)
        return found[0] if found else None

    def test_another_build_of_the_same_is_no_change(self):
        words = ("ring", 5000, "hand", 300, "leak", 1000)
        document = self.diff(self.recorded("old", KNOWN, *words), self.recorded("new", OTHER, *words))
        self.assertEqual(document["schema"], "tenure.diff/1")
        for name in ("ring_blocks", "make_blocks", "leak_blocks"):
            self.assertIsNone(self.function(document, name), document["by_function"])
        self.assertEqual(document["by_function"], [])

    def test_figures_are_the_programs(self):
        old = self.recorded("old", KNOWN, "ring", 5000, "leak", 1000)
        new = self.recorded("new", OTHER, "ring", 6000, "leak", 3000, "once", 100000)
        document = self.diff(old, new)
        leak = self.function(document, "leak_blocks")
        for figure in ("held_bytes", "allocated_bytes", "left_bytes"):
            self.assertEqual((leak[figure]["before"], leak[figure]["after"]), (700 * 1000, 700 * 3000), figure)
            self.assertFalse(leak[figure]["is_noise"])
        ring = self.function(document, "ring_blocks")
        self.assertEqual((ring["allocated_blocks"]["before"], ring["allocated_blocks"]["after"]), (5000, 6000))
        self.assertEqual(ring["held_bytes"]["before"], ring["held_bytes"]["after"])
        once = self.function(document, "once_block")
        self.assertEqual((once["allocated_bytes"]["before"], once["allocated_bytes"]["after"]), (0, 100000))
        self.assertEqual(document["by_function"][0], leak)
        totals = document["totals"]["allocated_bytes"]
        self.assertEqual(totals["after"] - totals["before"], 512 * 1000 + 700 * 2000 + 100000)
        only = self.diff("--function", "ring_blocks", old, new)
        self.assertEqual(len(only["by_function"]), 1)
        self.assertEqual(self.diff("--by", "blocks", old, new)["by_function"][0]["frames"], leak["frames"])

    def test_noise_of_several_is_measured(self):
        old = [self.recorded(f"old{i}", KNOWN, "leak", 1000 + i * 100) for i in range(3)]
        new = [self.recorded(f"new{i}", KNOWN, "leak", 1150 + i * 100, "ring", 100) for i in range(3)]
        document = self.diff(",".join(map(str, old)), ",".join(map(str, new)))
        leak = self.function(document, "leak_blocks")["left_bytes"]
        self.assertEqual((leak["before"], leak["after"], leak["noise"]), (1100 * 700, 1250 * 700, 200 * 700))
        self.assertTrue(leak["is_noise"])
        self.assertTrue(document["noise_is_measured"])
        self.assertFalse(self.function(document, "ring_blocks")["left_bytes"]["is_noise"])
        text = self.tenure("diff", ",".join(map(str, old)), ",".join(map(str, new))).stdout.decode()
        self.assertIn("1 functions changed by noise alone", text)
        self.assertNotIn("leak_blocks", text)

    def test_a_recording_with_a_command(self):
        old = self.recorded("old", KNOWN, "leak", 1000)
        answer, new = self.folder / "answer.json", self.folder / "new"
        self.tenure("diff", "--json", "-o", answer, "--recording", new, old, "--", OTHER, "leak", 3000)
        document = json.loads(answer.read_bytes())
        leak = self.function(document, "leak_blocks")["left_bytes"]
        self.assertEqual((leak["before"], leak["after"]), (700 * 1000, 700 * 3000))
        self.assertEqual(document, self.diff(old, new))
        done = self.tenure("diff", old, "--", "sh", "-c", '"$0" leak 1000; echo said; exit 7', OTHER, code=7)
        self.assertEqual(done.stdout, b"said\n")
        self.assertIn(b"with sh -c", done.stderr)
        # Before anything is started.
        touch = self.folder / "started"
        self.assertIn(b"cannot be", self.tenure("diff", self.folder / "none", "--", "touch", touch, code=2).stderr)
        self.assertIn(b"--at A..B is of one recording",
                      self.tenure("diff", "--at", "1ms..2ms", old, "--", "touch", touch, code=2).stderr)
        self.assertIn(b"--recording is of a command", self.tenure("diff", "--recording", new, old, old, code=2).stderr)
        self.assertFalse(touch.exists())

    def test_two_moments_of_one(self):
        recording = self.recorded("one", KNOWN, "leak", 2000)
        duration = json.loads(self.tenure("report", "--json", recording).stdout)["processes"][0]["duration_ns"]
        leak = self.function(self.diff("--at", f"0..{duration}ns", recording), "leak_blocks")
        self.assertEqual((leak["held_bytes"]["before"], leak["held_bytes"]["after"]), (0, 2000 * 700))

    def test_what_is_wrong_is_said(self):
        recording = self.recorded("one", KNOWN, "leak", 20)
        for words in ((recording,), (recording, recording, recording), ("--at", "1s..2s", recording, recording),
                      ("--at", "1s..", recording), (recording, self.folder / "none")):
            self.assertEqual(self.tenure("diff", *words, code=2).stderr.count(b"\n"), 1, words)
        recording.write_bytes(recording.read_bytes()[:-20])
        self.assertFalse(self.diff(recording, recording, code=1)["is_exact"])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
