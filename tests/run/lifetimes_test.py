#!/usr/bin/env python3
"""`tenure lifetimes` on a program whose blocks live a known life: lifetimes_test.py TENURE LIBRARY KNOWN_LIVES."""

import json
import pathlib
import re
import subprocess
import sys
import unittest

from recording_case import KNOWN, LIBRARY, RecordingCase

SOURCE = pathlib.Path(__file__).with_name("known_lives.cc")


def end_of_bucket(age):
    """The greatest age that is told as this one: sixteen to each doubling."""
    shift = max(0, age.bit_length() - 5)
    return ((age >> shift) + 1 << shift) - 1


class Lifetimes(RecordingCase):
    def lifetimes(self, *words, code=0):
        return json.loads(self.tenure("lifetimes", "--json", *words, self.recording, code=code).stdout)

    def function(self, process, name):
        found = [group for group in process["by_function"] if group["name"].split("(")[0] == name]
        self.assertEqual(len(found), 1, name)
        return found[0]

    def test_a_ring_of_blocks_dies_at_one_age_in_bytes(self):
        count, length, size = 5000, 64, 512
        self.record(KNOWN, "ring", count)
        document = self.lifetimes("--function", "ring_blocks")
        self.assertEqual(document["schema"], "tenure.lifetimes/1")
        ring = self.function(self.only(document), "ring_blocks")
        self.assertEqual(ring["allocated"], {"blocks": count, "bytes": count * size})
        self.assertEqual(ring["freed"]["blocks"], count - length)
        self.assertEqual(ring["never_freed"]["blocks"], length)
        # All die when the 63 behind them have come. Those that are left are younger: of them only the oldest, of the
        # same bucket, have a say.
        age = end_of_bucket((length - 1) * size)
        as_old = sum(1 for younger in range(length) if end_of_bucket(younger * size) == age)
        curve = ring["age_bytes"]["curve"]
        self.assertEqual([point["age"] for point in curve], [age])
        self.assertAlmostEqual(curve[0]["alive"], as_old / (count - length + as_old), places=6)
        for quantile in ("quartile", "median", "third_quartile", "ninth_decile"):
            self.assertEqual(ring["age_bytes"][quantile], age)
        self.assertEqual(ring["freed_by_another_thread"]["blocks"], 0)
        self.assertEqual(ring["realloc"]["calls"], 0)

    def test_short_lived_is_measured_against_the_heap(self):
        # With 64 MB beside it the ring's 32 KB are little, and alone they are all there is.
        self.record(KNOWN, "ring", 5000)
        self.assertEqual(self.function(self.only(self.lifetimes()), "ring_blocks")["short_lived"]["blocks"], 0)
        self.record(KNOWN, "leak", 90000, "ring", 5000)
        beside = self.function(self.only(self.lifetimes()), "ring_blocks")
        self.assertEqual(beside["short_lived"], beside["freed"])

    def test_who_frees(self):
        self.record(KNOWN, "hand", 400, "once", 5000)
        process = self.only(self.lifetimes("--size", "3000..5000"))
        made = self.function(process, "make_blocks")
        self.assertEqual(made["freed_by_another_thread"], {"blocks": 400, "bytes": 400 * 3000})
        pairs = {(one["allocated_by"], one["is_same_thread"]): one["freed"]["blocks"] for one in process["by_threads"]}
        self.assertEqual(pairs[("maker", False)], 400)
        self.assertEqual(self.function(process, "once_block")["freed_by_another_thread"]["blocks"], 0)

    def usable(self, *sizes):
        """What the heap says that it gives for each."""
        program = ("import ctypes, sys\nheap = ctypes.CDLL(None)\nheap.malloc.restype = ctypes.c_void_p\n"
                   "for size in sys.argv[1:]: "
                   "print(heap.malloc_usable_size(ctypes.c_void_p(heap.malloc(ctypes.c_size_t(int(size))))))")
        done = subprocess.run([sys.executable, "-c", program, *map(str, sizes)], capture_output=True, text=True,
                              check=True, env=dict(self.environment, LD_PRELOAD=LIBRARY))
        return [int(line) for line in done.stdout.split()]

    def test_what_sizes_cost(self):
        self.record(KNOWN, "hand", 400, "ring", 1000, "once", 500_001)
        process = self.only(self.lifetimes())
        expected = zip(("make_blocks", "ring_blocks", "once_block"), (400, 1000, 1), self.usable(3000, 512, 500_001))
        for name, count, usable in expected:
            group = self.function(process, name)
            self.assertEqual((group["allocated"]["blocks"], group["usable_bytes"]), (count, count * usable), name)
        self.assertEqual(process["usable_bytes"], sum(group["usable_bytes"] for group in process["by_function"]))
        text = self.tenure("lifetimes", self.recording).stdout.decode()
        self.assertRegex(text, r"What sizes cost  by which size classes and pages round up")
        self.assertLessEqual(max(map(len, text.splitlines())), 100)

    def test_a_full_run_rounds_as_the_heap_does(self):
        sizes = (300, 100_001, 500_001)
        answer = self.folder / "report.json"
        for size, usable in zip(sizes, self.usable(*sizes)):
            self.tenure("run", "--full", "--json", "-o", answer, "--", KNOWN, "once", size)
            process = self.only(json.loads(answer.read_bytes()))
            site = next(one for one in process["by_function"]["sites"] if one["name"].startswith("once_block"))
            self.assertEqual(site["allocated"]["usable_bytes"]["value"], usable, size)

    def lines_that_free(self):
        """Of the program's source: the lines with a call of free or realloc, by the function that they are in."""
        lines, function = {}, None
        for number, text in enumerate(SOURCE.read_text().splitlines(), 1):
            if found := re.match(r"(?:\[\[gnu::noinline\]\] )?\w+ (\w+)\(.*\{", text):
                function = found[1]
            if re.search(r"std::(free|realloc)\(", text):
                lines.setdefault(function, []).append(number)
        return lines

    def test_where_it_is_freed(self):
        self.record(KNOWN, "hand", 400, "ring", 1000, "once", 5000, "grow", 10, options=("--free-stacks",))
        process = self.only(self.lifetimes())
        sites = {(one["allocated_in"].split("(")[0], one["freed_in"].split("(")[0], one["is_same_thread"]): one
                 for one in process["by_free_site"]}
        expected = {("make_blocks", "hand_blocks", False): (400, 400 * 3000),
                    ("ring_blocks", "ring_blocks", True): (1000 - 64, (1000 - 64) * 512),
                    ("once_block", "once_block", True): (1, 5000),
                    ("grow_block", "grow_block", True): (11, sum(16 << i for i in range(11)))}
        lines = self.lines_that_free()
        for names, (blocks, size) in expected.items():
            site = sites[names]
            self.assertEqual(site["freed"], {"blocks": blocks, "bytes": size}, names)
            self.assertEqual(site["stack"][0]["function"].split("(")[0], names[1])
            self.assertIn(site["stack"][0]["line"], lines[names[1]], names)
        # Nobody else frees what these have allocated, and all that is freed is in the table.
        for names in sites:
            if names[0] in {known[0] for known in expected}:
                self.assertIn(names, expected)
        self.assertEqual(sum(one["freed"]["blocks"] for one in process["by_free_site"]), process["freed"]["blocks"])
        text = self.tenure("lifetimes", self.recording).stdout.decode()
        self.assertRegex(text, r"other +make_blocks +hand_blocks")
        self.assertLessEqual(max(map(len, text.splitlines())), 100)

    def test_without_stacks_of_frees_there_is_no_table_of_them(self):
        self.record(KNOWN, "ring", 1000)
        self.assertNotIn("by_free_site", self.only(self.lifetimes()))
        self.assertNotIn("Where it is freed", self.tenure("lifetimes", self.recording).stdout.decode())

    def test_stacks_of_frees_change_no_other_figure(self):
        documents = []
        for options in ((), ("--free-stacks",)):
            self.record(KNOWN, "ring", 1000, "hand", 50, "leak", 10, options=options)
            process = self.only(self.lifetimes())
            documents.append([(group["name"], group["allocated"], group["freed"], group["age_bytes"]["curve"])
                              for group in process["by_function"] if group["name"].split("(")[0] in
                              ("ring_blocks", "make_blocks", "leak_blocks")])
        self.assertEqual(len(documents[0]), 3)
        self.assertEqual(*documents)

    def test_a_block_that_grows_is_one_chain(self):
        times = 16
        self.record(KNOWN, "grow", times)
        grown = self.function(self.only(self.lifetimes()), "grow_block")
        self.assertEqual(grown["allocated"], {"blocks": times + 1, "bytes": sum(16 << i for i in range(times + 1))})
        figures = grown["realloc"]
        self.assertEqual({name: figures[name] for name in ("calls", "uncertain", "unmatched", "shrinks")},
                         {"calls": times, "uncertain": 0, "unmatched": 0, "shrinks": 0})
        self.assertEqual(figures["moved"] + figures["in_place"], times)
        # Up to 64 KiB doubling never fits where the block is.
        self.assertGreaterEqual(figures["moved"], 12)
        self.assertGreaterEqual(figures["moved_bytes"], sum(16 << i for i in range(12)))
        self.assertEqual((figures["blocks"], figures["most_resizes"]), (1, times))

    def test_a_command_is_recorded_and_said_as_its_recording(self):
        answer = self.folder / "answer.json"
        done = self.tenure("lifetimes", "--json", "-o", answer, "--free-stacks", "--recording", self.recording, "--",
                           "sh", "-c", '"$0" ring 5000; echo said; exit 7', KNOWN, code=7)
        self.assertEqual((done.stdout, done.stderr), (b"said\n", b""))
        document = json.loads(answer.read_bytes())
        self.assertEqual(document, self.lifetimes())
        ring = [one for process in document["processes"] for one in process["by_function"]
                if one["name"].split("(")[0] == "ring_blocks"]
        self.assertEqual([one["allocated"]["blocks"] for one in ring], [5000])
        self.assertTrue(any("by_free_site" in process for process in document["processes"]))
        # Standard output is the program's: the answer stands beside it.
        done = self.tenure("lifetimes", "--", KNOWN, "ring", "500")
        self.assertEqual(done.stdout, b"")
        self.assertIn(b"ring_blocks", done.stderr)
        text = self.on_terminal("lifetimes", "--", KNOWN, "ring", "500")
        self.assertIn("ring_blocks", text)
        self.assertNotIn("reading", text)

    def test_what_is_wrong_with_a_command_is_said(self):
        self.assertIn(b"one recording or one command", self.tenure("lifetimes", code=2).stderr)
        self.assertIn(b"one recording or one command",
                      self.tenure("lifetimes", self.recording, "--", "true", code=2).stderr)
        self.assertIn(b"--free-stacks is of a command",
                      self.tenure("lifetimes", "--free-stacks", self.recording, code=2).stderr)
        touch = self.folder / "started"
        done = self.tenure("lifetimes", "-o", self.recording, "--recording", self.recording, "--", "touch", touch,
                           code=2)
        self.assertIn(b"two outputs", done.stderr)
        self.assertFalse(touch.exists())
        self.assertIn(b"no command", self.tenure("lifetimes", "--", "no-such-program", code=127).stderr)

    def test_text_names_what_matters_and_a_cut_file_is_said_to_be_one(self):
        self.record(KNOWN, "ring", 5000, "hand", 100, "grow", 10)
        text = self.tenure("lifetimes", self.recording).stdout.decode()
        for part in ("ring_blocks", "grow_block", "maker", "What realloc costs", "Who frees it"):
            self.assertIn(part, text)
        self.assertLessEqual(max(map(len, text.splitlines())), 100)
        self.recording.write_bytes(self.recording.read_bytes()[:-20])
        self.assertIn("damage", self.lifetimes(code=1))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
