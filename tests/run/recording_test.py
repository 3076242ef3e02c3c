#!/usr/bin/env python3
"""`tenure record` and `tenure report` on real programs: recording_test.py TENURE LIBRARY KNOWN_PROGRAM."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time
import unittest

from recording_case import KNOWN, TENURE, RecordingCase


class RecordTest(RecordingCase):
    @unittest.skipUnless(shutil.which("valgrind") and shutil.which("sqlite3"), "needs valgrind and sqlite3")
    def test_counts_are_valgrinds(self):
        command = ["sqlite3", ":memory:",
                   "create table t(a,b); insert into t select value, hex(value) from generate_series(1,2000);"
                   "select count(*), sum(length(b)) from t"]
        self.record(*command)
        process = self.only(self.report())
        self.assert_exact(process)
        seen = (process["allocated"]["blocks"], process["freed"]["blocks"], process["allocated"]["bytes"])
        self.assertEqual(seen, self.counted_by_valgrind(*command))

    def test_counts_are_the_programs_own(self):
        # 1000 bytes a block, 4 MiB kept.
        self.record(KNOWN, "keep", 4, "churn", 3, "hand", 5)
        process = self.only(self.report())
        self.assert_exact(process)
        kept = [group for group in process["by_function"] if "keep_blocks" in group["name"]]
        self.assertEqual(len(kept), 1)
        self.assertEqual(kept[0]["never_freed"]["blocks"], (4 << 20) // 1000)
        self.assertEqual(kept[0]["never_freed"]["bytes"], (4 << 20) // 1000 * 1000)
        self.assertGreater(process["freed_by_another_thread"]["bytes"], 4 << 20)
        self.assertGreaterEqual(process["threads"], 2)

    def test_filters_choose_what_they_name(self):
        self.record(KNOWN, "keep", 4, "churn", 3, "hand", 5)
        whole = self.only(self.report())
        kept = self.only(self.report("--function", "keep_blocks", "--size", "1000"))
        self.assertEqual(kept["allocated"], {"blocks": (4 << 20) // 1000, "bytes": (4 << 20) // 1000 * 1000})
        self.assertEqual(kept["never_freed"], kept["allocated"])
        self.assertEqual({group["name"].split("(")[0] for group in kept["by_function"]}, {"keep_blocks"})
        churned = self.only(self.report("--size", "2000..2000"))
        self.assertEqual(churned["allocated"]["blocks"], (3 << 20) // 2000)
        self.assertEqual(churned["peak"], {"blocks": 1, "bytes": 2000})
        handed = self.only(self.report("--size", "3000"))
        self.assertEqual(handed["freed_by_another_thread"], handed["allocated"])
        pid = str(whole["pid"])
        self.assertEqual(self.only(self.report("--thread", pid, "--size", "3000"))["allocated"]["blocks"], 0)
        modules = self.only(self.report("--module", pathlib.Path(KNOWN).name))
        self.assertEqual(modules["by_function"],
                         [group for group in whole["by_function"] if group in modules["by_function"]])
        self.assertGreater(modules["allocated"]["bytes"], 11 << 20)
        self.assertEqual(self.report("--process", "1")["processes"], [])

    def test_two_windows_make_the_whole(self):
        self.record(KNOWN, "keep", 4, "churn", 3, "hand", 5)
        whole = self.only(self.report())
        middle = f"{whole['duration_ns'] // 2}ns"
        first = self.only(self.report("--window", f"..{middle}"))
        second = self.only(self.report("--window", f"{middle}.."))
        for figure in ("blocks", "bytes"):
            self.assertEqual(first["allocated"][figure] + second["allocated"][figure], whole["allocated"][figure])
        at_middle = self.only(self.report("--at", f"{whole['duration_ns'] // 2 - 1}ns"))
        self.assertEqual(at_middle["at_moment"], first["never_freed"])
        end = self.only(self.report("--at", f"{whole['duration_ns']}ns"))
        self.assertEqual(end["at_moment"], whole["never_freed"])
        self.assertEqual(self.only(self.report("--at", "0"))["at_moment"]["blocks"], 0)

    def test_forked_and_executed_programs_are_recorded_each(self):
        self.record("sh", "-c", f"{KNOWN} keep 1; {KNOWN} keep 2 & wait")
        document = self.report()
        kept = sorted(group["never_freed"]["blocks"] for process in document["processes"]
                      for group in process["by_function"] if "keep_blocks" in group["name"])
        self.assertEqual(kept, [(1 << 20) // 1000, (2 << 20) // 1000])
        for process in document["processes"]:
            self.assertEqual(process["lost"]["allocations"], 0)

    def test_dropped_records_are_counted(self):
        self.record(KNOWN, "churn", 100, options=("--when-full", "drop"))
        process = self.only(self.report())
        allocated = process["allocated"]["blocks"] + process["lost"]["allocations"]
        self.record(KNOWN, "churn", 100)
        self.assertEqual(self.only(self.report())["allocated"]["blocks"], allocated)

    def test_exit_code_is_the_programs(self):
        self.record("sh", "-c", "exit 7", code=7)
        self.report()

    def test_what_was_written_survives_the_collectors_death(self):
        words = [TENURE, "record", "-q", "-o", self.recording, "--", "sh", "-c",
                 f"{KNOWN} keep 2; exec sleep 30"]
        with subprocess.Popen(words, env=self.environment, stdin=subprocess.DEVNULL, start_new_session=True) as process:
            for _ in range(300):
                time.sleep(0.1)
                if not self.recording.exists():
                    continue
                done = subprocess.run([TENURE, "report", "--json", self.recording], env=self.environment,
                                      capture_output=True, timeout=60)
                if b"keep_blocks" in done.stdout:
                    break
            process.kill()
            process.wait()
            os.killpg(process.pid, signal.SIGTERM)
        document = self.report(code=1)
        self.assertFalse(document["is_complete"])
        kept = [group for process in document["processes"] for group in process["by_function"]
                if "keep_blocks" in group["name"]]
        self.assertEqual(kept[0]["never_freed"]["blocks"], (2 << 20) // 1000)

    def test_an_output_that_cannot_be_written_is_refused_first(self):
        self.record(KNOWN, "keep", 1)
        done = subprocess.run([TENURE, "report", "-o", self.recording / "no" / "folder", self.recording],
                              capture_output=True, timeout=60)
        self.assertEqual((done.returncode, done.stdout), (2, b""))
        self.assertEqual(done.stderr.count(b"\n"), 1)
        self.assertIn(b"cannot be written", done.stderr)

    def test_a_truncated_recording_says_so(self):
        self.record(KNOWN, "keep", 2)
        whole = self.recording.read_bytes()
        self.recording.write_bytes(whole[:-20])
        self.assertIn("damage", self.report(code=1))
        self.recording.write_bytes(b"nothing of the kind, but long enough")
        done = subprocess.run([TENURE, "report", self.recording], capture_output=True, timeout=60)
        self.assertEqual(done.returncode, 2)
        self.assertIn(b"does not begin as a recording", done.stderr)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
