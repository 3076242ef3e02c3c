#!/usr/bin/env python3
"""`tenure bundle` where the program is gone: bundle_test.py TENURE LIBRARY KNOWN_PROGRAM.

The oracle is what every command said of the recording while the program was there.
"""

import shutil
import sys
import unittest

from recording_case import KNOWN, RecordingCase

COMMANDS = (["report"], ["report", "--json"], ["lifetimes"], ["leaks"], ["export", "-f", "folded"],
            ["export", "-f", "csv"], ["report", "--function", "keep_blocks"])


class BundleTest(RecordingCase):
    def setUp(self):
        super().setUp()
        self.program = self.folder / "known"
        shutil.copy(KNOWN, self.program)
        self.record(self.program, "keep", 4, "churn", 3, "hand", 5)
        self.bundle = self.folder / "run.bundle.tenure"

    def answers(self, recording):
        return [self.tenure(*words, recording).stdout.replace(bytes(recording), b"FILE") for words in COMMANDS]

    def forget_program(self):
        self.program.write_text("another file")
        shutil.rmtree(self.folder / "cache", ignore_errors=True)

    def left_over(self):
        return [path.name for path in self.folder.iterdir() if path.name.startswith(".")]

    def test_every_command_says_the_same_without_the_program(self):
        before = self.answers(self.recording)
        done = self.tenure("bundle", "-o", self.bundle, self.recording)
        self.assertIn(b"places in its programs are named", done.stderr)
        self.forget_program()
        self.assertNotEqual(self.answers(self.recording), before)
        self.assertEqual(self.answers(self.bundle), before)

    def test_a_bundle_in_place_and_of_a_bundle(self):
        before = self.answers(self.recording)
        self.tenure("bundle", "-q", "-o", self.recording, self.recording)
        content = self.recording.read_bytes()
        self.forget_program()
        self.assertEqual(self.tenure("bundle", "-q", "-o", "-", self.recording).stdout, content)
        self.assertEqual(self.answers(self.recording), before)
        self.assertEqual(self.left_over(), [])

    def test_what_was_cut_off_is_bundled_as_far_as_it_goes(self):
        self.recording.write_bytes(self.recording.read_bytes()[:-20])
        said = self.tenure("report", self.recording, code=1).stdout
        done = self.tenure("bundle", "-o", self.bundle, self.recording, code=1)
        self.assertIn(b"damaged", done.stderr)
        self.forget_program()
        # What cannot be read is not copied: the bundle is whole up to there, and only cut off.
        self.assertIn(said.split(b"Process")[1], self.tenure("report", self.bundle, code=1).stdout)

    def test_wrong_input_is_one_sentence_and_leaves_nothing(self):
        for words, code, sentence in (
                (["bundle", self.recording], 2, b"needs a file to write to"),
                (["bundle", "-o", self.bundle], 2, b"needs one recording"),
                (["bundle", "-o", self.bundle, self.program], 2, b"does not begin as a recording"),
                (["bundle", "-o", self.bundle, self.folder / "nothing"], 2, b"cannot be read"),
                (["bundle", "-o", self.folder / "no" / "where", self.recording], 2, b"no folder"),
                (["bundle", "-o", "/dev/full", self.recording], 70, b"/dev/full")):
            done = self.tenure(*words, code=code)
            self.assertEqual((done.stdout, done.stderr.count(b"\n")), (b"", 1), done.stderr)
            self.assertIn(sentence, done.stderr)
        self.assertFalse(self.bundle.exists())
        self.assertEqual(self.left_over(), [])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
