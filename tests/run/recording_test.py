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

    def test_the_memory_of_a_process_is_explained_to_its_rss(self):
        self.record(KNOWN, "keep", 30, "hand", 5)
        for words in ((), ("--at", "1h"), ("--window", "..1h")):
            process = self.only(self.report(*words))
            memory = process["memory"]
            parts = {part["kind"]: part for part in memory["parts"]}
            self.assertEqual(sum(part["resident_bytes"] for part in memory["parts"]), memory["resident_bytes"])
            self.assertGreater(parts["heap_live"]["resident_bytes"], 0)
            self.assertGreater(parts["files"]["resident_bytes"], 0)
            self.assertGreater(parts["stacks"]["resident_bytes"], 0)
            self.assertLessEqual(memory["time_ns"], process["duration_ns"])
        # The last moment: nothing is freed after it.
        last = self.only(self.report("--at", "1h"))
        live, = (part for part in last["memory"]["parts"] if part["kind"] == "heap_live")
        self.assertEqual(live["counted_bytes"], last["never_freed"]["bytes"])
        # All that was kept is written to, so it is resident.
        self.assertGreaterEqual(live["resident_bytes"], 30 << 20)
        text = self.tenure("report", "--at", "1h", self.recording).stdout.decode()
        self.assertRegex(text, r"Where it lives  all that was resident after ")
        self.assertRegex(text, r"heap: live blocks +3\d\.\d MiB +\d+% +counted")
        self.assertNotIn("Where it lives", self.tenure("report", "--size", "1000", self.recording).stdout.decode())

    def test_the_memory_of_a_killed_process_is_told(self):
        # Killed once it has said that it keeps what it was to keep.
        self.record("sh", "-c", f"cd {self.folder} && mkfifo in out && "
                                f"{{ {os.path.abspath(KNOWN)} keep 30 await 1 <in >out & }}; p=$!; "
                                "exec 3>in; read line <out; kill -9 $p; wait $p; test $? = 137")
        largest = max(self.report()["processes"], key=lambda one: one["allocated"]["bytes"])
        self.assertGreaterEqual(largest["allocated"]["bytes"], 30 << 20)
        # The shell's child was of that number before.
        known = [one for one in json.loads(self.tenure("fragmentation", "--all", "--json", self.recording).stdout)
                 ["processes"] if one["pid"] == largest["pid"] and one["is_known"]]
        self.assertGreaterEqual(max(one["parts"]["live_bytes"] for one in known), 30 << 20)

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
        for figure in ("allocations", "bytes", "frees"):
            self.assertEqual(sum(one[figure] for one in process["lost"]["by_thread"]), process["lost"][figure], figure)
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

    def record_until_cut(self, *options):
        # How long a run takes, and in how many bytes it is told, is the machine's: twice as much until there was
        # something to cut. The amount that was enough, the report, and how long each recording was.
        sizes = []
        for churned in (4000, 8000, 16000, 32000, 64000, 128000):
            self.record(KNOWN, "keep", 1, "churn", churned, options=options)
            sizes.append(self.recording.stat().st_size)
            document = self.report()
            self.assertTrue(document["is_complete"])
            if "rotated" in document:
                self.assertGreater(document["rotated"]["cuts"], 0)
                return churned, document, sizes
        self.fail("however long the run, nothing was cut")

    def test_a_recording_that_is_kept_short_is_true_from_its_beginning_on(self):
        # Each churned block is gone at once, each kept one stays: both are known at any moment.
        amount, document, _ = self.record_until_cut("--last", "100ms")
        process = self.only(document)
        before = process["dropped"]
        self.assertGreater(before["allocations"], 0)
        kept = [group for group in process["by_function"] if "keep_blocks" in group["name"]][0]
        # The vector's own array goes at the end.
        self.assertEqual(kept["held_at_begin"]["blocks"], kept["never_freed"]["blocks"] + 1)
        self.assertEqual(kept["never_freed"]["blocks"], (1 << 20) // 1000)
        churned = [group for group in process["by_function"] if "churn_blocks" in group["name"]][0]
        self.assertEqual(churned["allocated"]["blocks"] + churned["held_at_begin"]["blocks"],
                         churned["freed"]["blocks"])
        self.record(KNOWN, "keep", 1, "churn", amount)
        whole = self.only(self.report())
        self.assertEqual(before["allocations"] + process["allocated"]["blocks"], whole["allocated"]["blocks"])
        self.assertEqual(before["allocated_bytes"] + process["allocated"]["bytes"], whole["allocated"]["bytes"])

    def test_a_recording_is_as_small_as_it_shall_be(self):
        _, _, sizes = self.record_until_cut("--max-size", "1M")
        self.assertLessEqual(max(sizes), 1 << 20)

    def test_a_writer_killed_while_it_cuts_leaves_a_recording(self):
        # Again and again at another moment, and until one was cut before; the program, which has no end of its own, is
        # killed with it. The moment may lie in the middle of a write: then the file ends within a block, and says so.
        rotated = 0
        attempt = 0
        while attempt < 12 or (rotated == 0 and attempt < 60):
            self.recording.unlink(missing_ok=True)
            words = [TENURE, "record", "-q", "--last", "100ms", "-o", self.recording, "--", KNOWN, "keep", 8, "churn",
                     100000000]
            with subprocess.Popen([str(word) for word in words], env=self.environment, stdin=subprocess.DEVNULL,
                                  start_new_session=True) as process:
                # The header and what begins the run stand.
                for _ in range(6000):
                    if self.recording.exists() and self.recording.stat().st_size > 64:
                        break
                    time.sleep(0.01)
                time.sleep(0.2 + attempt * 0.037)
                os.killpg(process.pid, signal.SIGKILL)
            document = self.report(code=1)
            self.assertRegex(document.get("damage", ""), r"^$|^at byte \d+ of \d+: the file ends within a block; what "
                             r"comes before is complete$")
            rotated += "rotated" in document
            if document["processes"]:
                found = self.only(document)
                self.assertEqual(found["never_freed"]["bytes"], found["held_at_begin"]["bytes"] +
                                 found["allocated"]["bytes"] - found["freed"]["bytes"])
            attempt += 1
        self.assertGreater(rotated, 0)

    def test_limits_that_make_no_sense_are_refused_first(self):
        for words, sentence in ((("--max-size", "10K"), b"1M at least"), (("--last", "1ms"), b"100ms at least"),
                                (("--last", "soon"), b"takes a time"), (("--max-size", "much"), b"number of bytes")):
            done = self.tenure("record", *words, "-o", self.recording, "--", "true", code=2)
            self.assertIn(sentence, done.stderr)
            self.assertFalse(self.recording.exists())
        done = self.tenure("record", "--last", "1s", "-o", "/dev/null", "--", "true", code=2)
        self.assertIn(b"is no file", done.stderr)

    def run_fully(self, *words, code=0):
        done = self.tenure("run", "--full", "--json", "-o", self.folder / "report.json", *words, code=code)
        return done, json.loads((self.folder / "report.json").read_bytes())

    def test_a_full_run_reports_what_its_recording_says(self):
        done, document = self.run_fully("--recording", self.recording, "--pprof", self.folder / "heap.pb.gz", "--",
                                        KNOWN, "keep", 4, "churn", 3, "hand", 5)
        self.assertEqual(done.stderr, b"")
        process = self.only(document)
        recorded = self.only(self.report())
        for name, there in (("allocated", "allocated"), ("live_at_peak", "peak"), ("live_at_exit", "never_freed")):
            for figure in ("blocks", "bytes"):
                self.assertEqual(process[name][figure], {"value": recorded[there][figure], "standard_error": 0})
        self.assertEqual(process["recording"]["events"], recorded["events"])
        self.assertEqual(process["recording"]["lost_allocations"] + process["recording"]["lost_frees"], 0)
        self.assertTrue(process["recording"]["is_complete"])
        functions = {site["name"].split("(")[0]: site for site in process["by_function"]["sites"]}
        self.assertEqual(functions["keep_blocks"]["lifetimes"]["never_freed"]["samples"], (4 << 20) // 1000)
        elsewhere = {group["name"].split("(")[0]: group["freed_by_another_thread"]["bytes"]
                     for group in recorded["by_function"]}
        self.assertGreaterEqual(elsewhere["make_blocks"], (5 << 20) // 3000 * 3000)
        self.assertEqual(functions["make_blocks"]["lifetimes"]["freed_by_other_thread_bytes"],
                         elsewhere["make_blocks"])
        self.assertIn("never-freed", [finding["code"] for finding in process["findings"]])
        # RSS is there as well, and its parts sum to it.
        for moment in ("memory_at_peak", "memory_at_exit"):
            self.assertEqual(process[moment]["resident_bytes"],
                             sum(part["resident_bytes"] for part in process[moment]["parts"]))
        self.assertGreater((self.folder / "heap.pb.gz").stat().st_size, 0)

    def test_a_full_run_says_who_frees_where_it_is_asked_to(self):
        _, document = self.run_fully("--free-stacks", "--", KNOWN, "churn", 3, "hand", 5)
        functions = {site["name"].split("(")[0]: site for site in self.only(document)["by_function"]["sites"]}
        for name, freer in (("churn_blocks", "churn_blocks"), ("make_blocks", "main")):
            freed_by = {one["function"].split("(")[0]: one["freed_bytes"] for one in functions[name]["freed_by"]}
            self.assertEqual(sum(freed_by.values()), functions[name]["lifetimes"]["freed"]["bytes"]["value"])
            self.assertEqual(max(freed_by, key=freed_by.get), freer)
        done = self.tenure("run", "--full", "--free-stacks", "--", KNOWN, "hand", 5)
        self.assertIn(b"Who frees it", done.stderr)
        _, document = self.run_fully("--", KNOWN, "churn", 3, "hand", 5)
        for site in self.only(document)["by_function"]["sites"]:
            self.assertNotIn("freed_by", site)

    def test_a_full_run_leaves_nothing_behind_and_passes_the_exit_code_on(self):
        self.environment["TMPDIR"] = str(self.folder / "tmp")
        (self.folder / "tmp").mkdir()
        done = self.tenure("run", "--full", "--", "sh", "-c", f"{KNOWN} keep 2; exit 7", code=7)
        self.assertIn(b"every allocation and free; none dropped", done.stderr)
        self.assertNotIn(b"error", done.stderr)
        self.assertEqual(list((self.folder / "tmp").iterdir()), [])

    def test_a_full_run_counts_what_it_drops(self):
        _, document = self.run_fully("--when-full", "drop", "--", KNOWN, "churn", 100)
        process = self.only(document)
        allocated = process["allocated"]["blocks"]["value"] + process["recording"]["lost_allocations"]
        _, whole = self.run_fully("--", KNOWN, "churn", 100)
        self.assertEqual(self.only(whole)["allocated"]["blocks"]["value"], allocated)
        told = "dropped" in [finding["code"] for finding in process["findings"]]
        self.assertEqual(told, process["recording"]["lost_allocations"] + process["recording"]["lost_frees"] != 0)

    def test_what_a_full_run_does_not_take_is_refused_first(self):
        for words, sentence in ((("--recording", "x", "--", "true"), b"give --full as well"),
                                (("--when-full", "drop", "--", "true"), b"give --full as well"),
                                (("--free-stacks", "--", "true"), b"give --full as well"),
                                (("--full", "--sample-interval", "1M", "--", "true"), b"samples nothing"),
                                (("--full", "--recording", "/dev/full", "--", "true"), b"No space left"),
                                (("--full", "--recording", "/no/folder/x", "--", "true"), b"cannot be written")):
            done = self.tenure("run", *words, code=2)
            self.assertIn(sentence, done.stderr)
            self.assertEqual(done.stderr.count(b"\n"), 1)

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
