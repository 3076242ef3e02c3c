#!/usr/bin/env python3
"""`tenure check` on known programs: check_test.py TENURE LIBRARY KNOWN_LIVES KNOWN_LIVES_OF_ANOTHER_BUILD."""

import json
import subprocess
import sys
import unittest
import xml.etree.ElementTree as xml

from recording_case import KNOWN, TENURE, RecordingCase

OTHER = sys.argv[4]


class Check(RecordingCase):
    def recorded(self, name, *command):
        self.recording = self.folder / name
        self.record(*command)
        return self.recording

    def check(self, *words, code=0):
        answer = json.loads(self.tenure("check", "--json", *words, code=code).stdout)
        self.assertEqual(answer["schema"], "tenure.check/1")
        self.assertEqual(answer["is_kept"], code == 0)
        return answer

    def run_check(self, *words, code=0):
        """Of a program: what it writes, and what is said on standard error."""
        done = self.tenure("check", *words, code=code)
        return done.stdout.decode(), done.stderr.decode()

    def test_limits_are_of_the_programs_figures(self):
        recording = self.recorded("one", KNOWN, "ring", 5000, "leak", 1000, "once", 100_000)
        runtime = self.check("--max-leak", "1G", recording)["suppressed"]
        left = 64 * 512 + 1000 * 700
        for limit, most in (("--max-leak", left), ("--max-allocations", 6001 + runtime["blocks"]),
                            ("--max-allocated", 5000 * 512 + 1000 * 700 + 100_000 + runtime["bytes"]),
                            ("--max-peak", left + 100_000 + runtime["bytes"])):
            gate = self.check(limit, most, recording)["gates"][0]
            self.assertEqual((gate["worst"]["measured"], gate["worst"]["over"], gate["violations"]), (most, 0, []))
            gate = self.check(limit, most - 1, recording, code=1)["gates"][0]
            self.assertEqual([one["over"] for one in gate["violations"]], [1])
            self.assertEqual(gate["limit"], f"{limit} {most - 1}")
            self.assertTrue(gate["violations"][0]["sites"])

    def test_named_functions_are_judged_each(self):
        recording = self.recorded("one", KNOWN, "ring", 5000, "leak", 1000)
        gate = self.check("--max-leak", "*=0", recording, code=1)["gates"][0]
        self.assertEqual([(one["frames"][0].split("(")[0], one["measured"]) for one in gate["violations"]],
                         [("leak_blocks", 700_000), ("ring_blocks", 64 * 512)])
        gate = self.check("--max-allocations", "ring_b=4999", "--per", "site", recording, code=1)["gates"][0]
        self.assertEqual(gate["violations"][0]["measured"], 5000)
        self.assertEqual(gate["violations"][0]["frames"][1], "main")
        gates = self.check("--max-leak", "leak_blocks=700000", "--max-leak", "nobody=0", recording)["gates"]
        self.assertEqual([gate["judged"] for gate in gates], [1, 0])
        self.check("--max-allocations", "0", "--function", "once_block", recording)
        self.check("--max-allocations", "4999", "--function", "ring_blocks", recording, code=1)

    def test_growth_is_over_the_baseline(self):
        old = self.recorded("old", KNOWN, "ring", 5000, "leak", 1000)
        same = self.recorded("same", OTHER, "ring", 5000, "leak", 1000)
        new = self.recorded("new", OTHER, "ring", 5100, "leak", 1030)
        self.check("--baseline", old, "--max-growth", "0", same)
        answer = self.check("--baseline", old, "--max-growth", "0", new, code=1)
        self.assertEqual([(gate["measure"], gate["violations"][0]["over"]) for gate in answer["gates"]],
                         [("held_bytes", 21_000), ("left_bytes", 21_000), ("allocated_blocks", 130),
                          ("allocated_bytes", 21_000 + 51_200)])
        sites = answer["gates"][3]["violations"][0]["sites"]
        self.assertEqual([one["measured"] - one["baseline"] for one in sites], [51_200, 21_000])
        self.check("--baseline", old, "--max-growth", "3%", new)
        self.check("--baseline", old, "--max-leak", "leak_blocks=+21000", new)
        self.check("--baseline", old, "--max-leak", "leak_blocks=+1%+14000", new)
        self.check("--baseline", old, "--max-leak", "leak_blocks=+1%+13999", new, code=1)
        text = self.tenure("check", "--baseline", old, "--max-allocations", "leak_blocks=+2%", new,
                           code=1).stdout.decode()
        self.assertIn("1030 blocks allocated, 1000 in the baseline; 1020 allowed, 10 too much", text)
        self.assertIn("+30", text)

    def test_baselines_differ_by_what_is_allowed(self):
        olds = [self.recorded(f"old{i}", KNOWN, "leak", 1000 + 10 * i) for i in range(3)]
        baseline = ",".join(map(str, olds))
        self.check("--baseline", baseline, "--max-leak", "+0", self.recorded("new", KNOWN, "leak", 1030))
        self.check("--baseline", baseline, "--max-leak", "+0", self.recorded("new", KNOWN, "leak", 1031), code=1)

    def test_a_program_is_run_and_judged(self):
        kept = self.folder / "kept.tenure"
        out, said = self.run_check("--max-leak", "0", "--max-peak", "1G", "--recording", kept, "--", KNOWN, "leak", 10,
                                   code=1)
        self.assertEqual(out, "")
        self.assertIn("broken  --max-leak 0: 6.8 KiB never freed; 0 B allowed, 6.8 KiB too much", said)
        self.assertIn("leak_blocks", said)
        self.assertIn("kept    --max-peak 1G", said)
        self.check("--max-leak", "7000", kept)
        self.assertEqual(self.run_check("--max-leak", "0", "-q", "--", KNOWN, "once", 10), ("", ""))
        self.assertEqual(self.run_check("--max-leak", "0", "--", "echo", "hello")[0], "hello\n")

    def test_the_programs_own_end_comes_first(self):
        self.run_check("--max-peak", "0", "--", "sh", "-c", "exit 7", code=7)
        self.run_check("--max-peak", "1G", "--", "sh", "-c", "kill -9 $$", code=137)
        self.run_check("--max-peak", "1G", "--", "/no/such/program", code=127)
        done = self.tenure("check", "--max-peak", "1G", "--baseline", self.folder / "none", "--", "touch",
                           self.folder / "ran", code=2)
        self.assertEqual(done.stderr.decode(), "tenure: --baseline needs a limit on growth, such as --max-growth 5% or "
                                               "--max-leak +0.\n")
        self.tenure("check", "--max-peak", "+0", "--baseline", self.folder / "none", "--", "touch",
                    self.folder / "ran", code=2)
        self.assertFalse((self.folder / "ran").exists())

    def test_what_is_known_is_left_out(self):
        recording = self.recorded("one", KNOWN, "leak", 1000, "ring", 100)
        known = self.folder / "known.txt"
        known.write_text("# of old\nleak:leak_blo\n")
        answer = self.check("--max-leak", 64 * 512, "--suppressions", known, recording)
        plain = self.check("--max-leak", "1G", recording)
        self.assertEqual(answer["suppressed"]["bytes"] - plain["suppressed"]["bytes"], 700_000)
        known.write_text("leak_blocks\n")
        self.assertIn(b"line 1 is no rule", self.tenure("check", "--max-leak", "0", "--suppressions", known, recording,
                                                        code=2).stderr)

    def test_junit_is_what_the_text_is(self):
        recording = self.recorded("one", KNOWN, "leak", 1000)
        written = self.folder / "check.xml"
        self.check("--max-leak", "*=0", "--max-peak", "1G", "--junit", written, recording, code=1)
        suite = xml.parse(written).getroot()
        self.assertEqual((suite.tag, suite.get("tests"), suite.get("failures"), suite.get("errors")),
                         ("testsuite", "2", "1", "0"))
        cases = {case.get("name"): case for case in suite}
        broken = cases["--max-leak *=0 (left_bytes)"].find("failure")
        self.assertIn("683.6 KiB never freed", broken.get("message"))
        self.assertIn("leak_blocks", broken.text)
        self.assertIsNone(cases["--max-peak 1G (held_bytes)"].find("failure"))

    def test_what_is_not_told_is_not_kept(self):
        recording = self.recorded("one", KNOWN, "leak", 1000)
        recording.write_bytes(recording.read_bytes()[:-20])
        answer = self.check("--max-peak", "1G", recording, code=3)
        self.assertEqual(len(answer["unknown"]), 1)
        self.check("--max-leak", "0", recording, code=1)
        answer = self.check("--max-peak", "1G", "--process", 1, recording, code=3)
        self.assertIn("tells nothing", " ".join(answer["unknown"]))
        short = self.folder / "short"
        self.recording = short
        self.record(KNOWN, "ring", 12_000_000, options=("--max-size", "1M"))
        self.assertIn("kept short", self.check("--max-peak", "1G", short, code=3)["unknown"][0])

    def test_a_program_that_nothing_is_known_of_is_not_kept(self):
        kept = self.folder / "kept"
        for seconds in (2, 8, 32):  # it is looked for now and then: longer where the machine is busy
            sleeper = f"env -i /usr/bin/python3 -c 'import time; time.sleep({seconds})'"
            words = [TENURE, "check", "--max-peak", "1G", "--recording", kept, "--", "sh", "-c", f"{sleeper}; true"]
            done = subprocess.run(words, env=self.environment, capture_output=True, text=True)
            if done.returncode == 3:
                break
        self.assertEqual(done.returncode, 3, done.stderr)
        self.assertRegex(done.stderr, r"/usr/bin/python3\S* \(process \d+\) was not recorded")
        self.assertIn("was not recorded", " ".join(self.check("--max-peak", "1G", kept, code=3)["unknown"]))

    def test_the_peak_is_of_one_process(self):
        program = f"{KNOWN} once 3000000; {KNOWN} once 5000000; {KNOWN} once 4000000; exit 0"
        self.record("sh", "-c", program)
        gate = self.check("--max-peak", "6M", "--max-allocated", "once_block=12000000", self.recording)["gates"][0]
        self.assertGreaterEqual(gate["worst"]["measured"], 5_000_000)

    def test_what_is_wrong_is_said(self):
        recording = self.recorded("one", KNOWN, "leak", 20)
        for words in ((recording,), ("--max-leak", "0"), ("--max-leak", "0", recording, recording),
                      ("--max-leak", "0", recording, "--", "true"), ("--max-leak", "+5%", recording),
                      ("--max-growth", "5%", recording), ("--max-leak", "0", "--recording", "x", recording),
                      ("--max-leak", "0", self.folder / "none"), ("--max-leak", "0", "-o", "/no/such/x", recording),
                      ("--max-leak", "0", "--junit", "/no/such/x", recording)):
            self.assertEqual(self.tenure("check", *words, code=2).stderr.count(b"\n"), 1, words)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
