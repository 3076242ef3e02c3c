#!/usr/bin/env python3
"""`tenure leaks --reachable` on ways that are known: holders_test.py TENURE LIBRARY PLANTED_HOLDERS."""

import json
import platform
import re
import sys
import time
import unittest

from recording_case import KNOWN, RecordingCase

LEAF = 1 << 20
NODE = 48


class HoldersCase(RecordingCase):
    def scan(self, *words):
        """What is held, by the function that made it, and what the program said."""
        answer = self.folder / "answer.json"
        done = self.tenure("leaks", "--reachable", "--json", "-o", answer, *words)
        process, = json.loads(answer.read_text())["processes"]
        return self.by_function(process), process, done.stdout.decode()

    def by_function(self, process):
        found = {}
        for site in process["held"]:
            name = next((re.search(r"make_\w+", frame["function"])[0] for frame in site["stack"]
                         if re.search(r"make_\w+", frame["function"])), None)
            found.setdefault(name, []).append(site)
        return found

    def one(self, found, name, kind="reachable", made=(1, LEAF)):
        site, = found[name]
        self.assertEqual((site["kind"], site["blocks"], site["bytes"]), (kind, *made), name)
        holder, = site["holders"]
        self.assertEqual((holder["held"]["blocks"], holder["held"]["bytes"]), made, name)
        self.assertEqual(holder["way_blocks"], sum(1 + step["repeats"] for step in holder["way"]))
        return holder

    def assert_ways(self, found, said):
        """Those that are the same however the process was looked through."""
        leaf = self.one(found, "make_leaf")
        self.assertEqual((leaf["root"]["kind"], leaf["root"]["name"], leaf["root"]["offset"]),
                         ("memory", "list_holder", 24))
        self.assertTrue(leaf["root"]["module"].endswith("run_planted_holders"))
        # Sixty nodes, the table, the leaf.
        self.assertEqual(leaf["way_blocks"], 62)
        table, last = leaf["way"][-2:]
        self.assertEqual((table["offset"], last["offset"], last["bytes"], last["inside"]), (16, 17 * 8, LEAF, 0))
        self.assertEqual({step["offset"] for step in leaf["way"][1:-2]}, {8})

        short = self.one(found, "make_with_short_way")
        self.assertEqual((short["root"]["name"], short["root"]["offset"], short["way_blocks"]), ("short_way", 40, 1))

        second = self.one(found, "make_second_base", made=(1, LEAF + 32))
        self.assertEqual((second["root"]["name"], second["way"][0]["inside"]), ("second_base_holder", 16))
        inside = self.one(found, "make_inside", kind="possible")
        self.assertEqual((inside["root"]["name"], inside["way"][0]["inside"]), ("inside_holder", 1000))

        mapped = self.one(found, "make_mapped")
        self.assertEqual((mapped["root"]["kind"], mapped["root"]["address"]),
                         ("memory", re.search(r"mapped (\w+)", said)[1]))

        thread = int(re.search(r"thread (\d+)", said)[1])
        of_thread = {name: self.one(found, name)["root"]
                     for name in ("make_thread_local", "make_on_stack", "make_in_register")}
        self.assertEqual({root["thread"] for root in of_thread.values()}, {thread})
        self.assertEqual((of_thread["make_thread_local"]["kind"], of_thread["make_thread_local"]["name"]),
                         ("thread_local", "thread_holder"))
        self.assertEqual(of_thread["make_on_stack"]["kind"], "stack")
        if platform.machine() == "x86_64":
            self.assertEqual(of_thread["make_in_register"]["kind"], "register")

    def test_of_a_process_that_ends(self):
        found, process, said = self.scan("--", KNOWN, "end")
        self.assert_ways(found, said)
        self.assertEqual(process["scan"]["left_out_held_blocks"], 0)
        self.assertEqual(process["scan"]["held_blocks"],
                         process["scan"]["reachable"]["blocks"] + process["possible"]["blocks"])
        # Everything was recorded: each block on the way is told with its place, and alike ones in one step.
        way = self.one(found, "make_leaf")["way"]
        self.assertEqual([(step["repeats"], step["bytes"]) for step in way],
                         [(0, NODE), (58, NODE), (0, 200), (0, LEAF)])
        self.assertTrue(all("planted_holders.cc" in step["file"] for step in way))
        nodes = self.one(found, "make_list", made=(100, 100 * NODE))
        self.assertEqual((nodes["way_blocks"], nodes["root"]["name"]), (1, "list_holder"))
        self.assertEqual(sum(site["bytes"] for sites in found.values() for site in sites if site["kind"] == "possible"),
                         process["possible"]["bytes"])

    def test_of_a_process_that_runs(self):
        planted, said = self.start_planted(TENURE_SAMPLE_INTERVAL="4096", TENURE_SAMPLE_SPACING="0")
        # On a busy machine a thread may not get to answer in time.
        for _ in range(20):
            found, process, _ = self.scan("--wait", "100s", str(planted.pid))
            if process["scan"]["unstopped_threads"] == 0:
                break
            time.sleep(0.1)
        self.assert_ways(found, said)
        # Not everything is told, only what was sampled and what leads there.
        self.assertGreaterEqual(process["scan"]["held_blocks"], 60)
        only, _, _ = self.scan("--wait", "100s", "--function", "make_table", str(planted.pid))
        self.assertIn("make_leaf", only)
        self.assertLessEqual(set(only), {"make_leaf", "make_table"})  # the table may be a sample too
        none, _, _ = self.scan("--wait", "100s", "--size", "..1K", "--module", "no-such", str(planted.pid))
        self.assertEqual(none, {})

    def test_who_does_not_ask_is_told_nothing_of_it(self):
        answer = self.folder / "answer.json"
        self.tenure("leaks", "--json", "-o", answer, "--", KNOWN, "end")
        process, = json.loads(answer.read_text())["processes"]
        self.assertNotIn("held", process)
        self.assertEqual(process["scan"]["held_blocks"], 0)

    def test_blocks_are_chosen(self):
        found, _, _ = self.scan("--function", "make_table", "--", KNOWN, "end")
        self.assertEqual(set(found), {"make_table", "make_leaf"})
        found, _, _ = self.scan("--size", "200", "--", KNOWN, "end")
        self.assertEqual(set(found), {"make_table"})
        found, _, _ = self.scan("--thread", "no-such", "--", KNOWN, "end")
        self.assertEqual(found, {})

    def test_text_names_the_root_and_each_step(self):
        text = self.tenure("leaks", "--reachable", "--", KNOWN, "end").stderr.decode()
        self.assertRegex(text, r"from list_holder of run_planted_holders: 1\.0 MiB in 1 block\n"
                               r" +\+24 -> 48 B  make_list  planted_holders\.cc:\d+\n"
                               r" +\+8 -> 48 B, and 58 more, one from the other  make_list  planted_holders\.cc:\d+\n"
                               r" +\+16 -> 200 B  make_table  planted_holders\.cc:\d+\n"
                               r" +\+136 -> 1\.0 MiB  make_leaf  planted_holders\.cc:\d+\n")
        self.assertRegex(text, r"from thread_holder of run_planted_holders, thread-local, of thread \d+")
        self.assertRegex(text, r"from the stack of thread \d+")
        self.assertRegex(text, r"1\.0 MiB, 1000 bytes into it  make_inside")

    def test_a_recording_does_not_tell(self):
        done = self.tenure("leaks", "--reachable", "no.tenure", code=2)
        self.assertIn(b"--reachable is of a process or a command", done.stderr)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
