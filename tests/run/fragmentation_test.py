#!/usr/bin/env python3
"""`tenure fragmentation` on blocks that pin spans on purpose: fragmentation_test.py TENURE LIBRARY PLANTED."""

import json
import sys
import unittest

from recording_case import KNOWN, RecordingCase

PARTS = ("live", "large", "free", "cached", "batches", "dirty", "unused", "absent", "tails", "clean")
USED_SPANS = ("small", "sampled", "named_small")


class FragmentationCase(RecordingCase):
    def setUp(self):
        super().setUp()
        # What is freed stays where it is, so that what is found is what was planted.
        self.environment.update(TENURE_BACKGROUND="0", TENURE_DECAY="3600000")

    def look(self, *words):
        """The one process's answer, and what the program said: addresses by the function that made the block."""
        answer = self.folder / "answer.json"
        done = self.tenure("fragmentation", "--json", "-o", answer, *words)
        process, = json.loads(answer.read_text())["processes"]
        return process, self.told(done.stdout.decode())

    def told(self, text):
        found = {}
        for line in text.splitlines():
            name, _, address = line.partition(" ")
            if address:
                found.setdefault(name, []).append(int(address, 16))
        return found

    def site(self, process, name):
        return next(site for site in process["sites"]
                    if any(frame["function"].startswith(name) for frame in site["stack"]))

    def assert_sums(self, process):
        """Each byte of the heap is told once, and the heap's own counters say the same."""
        self.assertTrue(process["agrees"])
        parts, told = process["parts"], process["statistics"]
        self.assertEqual(set(parts), {f"{name}_bytes" for name in PARTS})
        self.assertEqual(sum(parts.values()), told["chunk_bytes"])
        self.assertEqual(process["heap_bytes"], told["chunk_bytes"])
        by_kind = {}
        for span in process["spans"]:
            by_kind[span["kind"]] = by_kind.get(span["kind"], 0) + span["bytes"]
        self.assertEqual(by_kind.get("small", 0), told["small_span_bytes"])
        self.assertEqual(sum(by_kind.get(kind, 0) for kind in ("sampled", "named_small", "named_large")),
                         told["named_heap_span_bytes"])
        self.assertEqual(by_kind.get("large", 0), told["large_span_bytes"])
        self.assertEqual(by_kind.get("free_dirty", 0), told["free_dirty_bytes"])
        self.assertEqual(by_kind.get("free_clean", 0), told["free_clean_bytes"])
        for name in PARTS:
            of_classes = sum(row["parts"][f"{name}_bytes"] for row in process["classes"])
            if name not in ("large", "dirty", "clean"):
                self.assertEqual(of_classes, parts[f"{name}_bytes"], name)
        self.assertEqual(sum(site["pinned_bytes"] for site in process["sites"]), process["pinned_bytes"])
        self.assertEqual(sum(site["live"]["blocks"] for site in process["sites"]), process["live_blocks"])
        self.assertEqual(sum(row["pinned_bytes"] for row in process["classes"]), process["pinned_bytes"])

    def expected_pins(self, process, told):
        """By what the program said and the spans alone."""
        pins = {name: 0 for name in told}
        spans = {name: 0 for name in told}
        alone = {name: 0 for name in told}
        for span in process["spans"]:
            if span["kind"] not in USED_SPANS:
                continue
            inside = sorted((address, name) for name, addresses in told.items() for address in addresses
                            if int(span["begin"], 16) <= address < int(span["begin"], 16) + span["bytes"])
            if not inside:
                continue
            self.assertEqual(len(inside), span["live"])
            present = (span["free"] - span["absent"] - span["unused"]) * span["block_bytes"]
            if present * 2 < span["bytes"]:
                continue
            names = {name for _, name in inside}
            for name in names:
                spans[name] += 1
                alone[name] += names == {name}
            for place, (_, name) in enumerate(inside):
                pins[name] += present // len(inside) + (place < present % len(inside))
        return pins, spans, alone


class AtExitTest(FragmentationCase):
    def test_what_is_pinned_is_told_by_who_pins_it(self):
        process, told = self.look("--", KNOWN, "end")
        self.assert_sums(process)
        self.assertEqual((len(told["pin_often"]), len(told["pin_seldom"])), (562, 63))
        pins, spans, alone = self.expected_pins(process, told)
        for name in ("pin_often", "pin_seldom"):
            site = self.site(process, name)
            self.assertEqual((site["live"]["blocks"], site["live"]["bytes"]), (len(told[name]), len(told[name]) * 1250))
            self.assertEqual((site["pinned_bytes"], site["spans"], site["lone_spans"]),
                             (pins[name], spans[name], alone[name]), name)
        # Most of 40000 blocks, of which one in 64 stays.
        self.assertGreater(pins["pin_often"] + pins["pin_seldom"], 40000 * 1250 // 2)
        self.assertIs(process["sites"][0], self.site(process, "pin_often"))
        self.assertIn("pin_often", process["advice"][0]["text"])
        self.assertEqual(process["advice"][0]["code"], "pinned")

    def test_rounding_and_caches(self):
        process, told = self.look("--", KNOWN, "end")
        large = self.site(process, "hold_large")
        self.assertEqual((large["live"]["bytes"], large["usable_bytes"]), ((1 << 20) + 1, (1 << 20) + (16 << 10)))
        row = next(row for row in process["classes"] if row["requested"]["blocks"] >= 625
                   and row["requested"]["bytes"] % 1250 == 0)
        self.assertEqual(row["requested"], {"blocks": 625, "bytes": 625 * 1250})
        self.assertEqual(row["live_blocks"], 625)
        # The waiting thread has ten blocks of 3000 bytes or more in its cache, and nobody has one in use.
        cached = next(row for row in process["classes"] if row["block_bytes"] >= 3000 and row["parts"]["cached_bytes"])
        self.assertEqual(cached["live_blocks"], 0)
        self.assertGreaterEqual(cached["parts"]["cached_bytes"], 10 * cached["block_bytes"])

    def test_sites_are_chosen_and_sums_are_not(self):
        process, _ = self.look("--", KNOWN, "end")
        chosen, told = self.look("--function", "pin_seldom", "--", KNOWN, "end")
        site, = chosen["sites"]
        self.assertEqual(site["live"]["blocks"], 63)
        self.assertEqual(site["lone_spans"], self.expected_pins(chosen, told)[2]["pin_seldom"])
        self.assertTrue(chosen["agrees"])
        self.assertEqual(sum(chosen["parts"].values()), chosen["statistics"]["chunk_bytes"])
        self.assertGreater(chosen["pinned_bytes"], site["pinned_bytes"])
        self.assertGreater(process["pinned_bytes"], site["pinned_bytes"])
        large, _ = self.look("--size", "1M..", "--", KNOWN, "end")
        self.assertEqual([site["live"]["blocks"] for site in large["sites"]], [1])
        none, _ = self.look("--thread", "no-such", "--", KNOWN, "end")
        self.assertEqual(none["sites"], [])

    def test_text_says_what_to_do_and_draws_the_heap(self):
        done = self.tenure("fragmentation", "--", KNOWN, "end")
        text = done.stderr.decode()
        self.assertRegex(text, r"\d+ blocks of pin_often \(planted_fragments\.cc:\d+\) keep [\d.]+ MiB of free memory")
        self.assertRegex(text, r"Pinned  [\d.]+ MiB of free memory in \d+ spans")
        self.assertRegex(text, r"Size classes  ")
        self.assertRegex(text, r"Map  [\d.]+ KiB a character")
        self.assertRegex(text, r"\n  [#+.cLd_]{64}\n")
        self.assertNotIn("do not sum", text)


class LiveTest(FragmentationCase):
    def test_programs_that_became_another_are_counted_and_not_listed(self):
        text = self.tenure("fragmentation", "--", "env", "A=1", "sleep", "0.5").stderr.decode()
        self.assertIn("and 1 that became another program", text)
        self.assertNotIn("env A=1 sleep 0.5  pid", text)
        text = self.tenure("fragmentation", "--all", "--", "env", "A=1", "sleep", "0.5").stderr.decode()
        self.assertIn("not looked at: it became another program", text)

    def test_of_a_process_that_runs(self):
        planted, said = self.start_planted()
        process, _ = self.look("--wait", "100s", str(planted.pid))
        self.assert_sums(process)
        # Sampled ones lie in spans of their own, where they pin nothing of the others.
        small = {name: [address for address in addresses if name != "hold_large"]
                 for name, addresses in self.told(said).items()}
        in_use = sum(span["live"] for span in process["spans"] if span["kind"] == "small" and any(
            int(span["begin"], 16) <= address < int(span["begin"], 16) + span["bytes"]
            for addresses in small.values() for address in addresses))
        in_samples = sum(1 for span in process["spans"] if span["kind"] == "sampled" for addresses in small.values()
                         for address in addresses
                         if int(span["begin"], 16) <= address < int(span["begin"], 16) + span["bytes"])
        self.assertEqual(in_use + in_samples, 625)
        self.assertIn("pinned-class", [one["code"] for one in process["advice"]])
        self.assertIsNone(planted.poll())


class RecordedTest(FragmentationCase):
    """What is told of the recording, held against the map of the same heap at the same moment."""

    def of_recording(self, *words, code=0):
        done = self.tenure("fragmentation", "--json", *words, self.recording, code=code)
        return self.only(json.loads(done.stdout))

    def map_and_recording(self):
        mapped, told = self.look("--recording", self.recording, "--", KNOWN, "end")
        return mapped, told, self.of_recording()

    def test_parts_and_classes_are_those_of_the_map(self):
        mapped, _, process = self.map_and_recording()
        self.assertTrue(process["is_known"])
        self.assertEqual(process["heap_bytes"], mapped["heap_bytes"])
        self.assertEqual(sum(process["parts"].values()), process["heap_bytes"])
        of_kind = lambda kinds: sum(span["bytes"] for span in mapped["spans"] if span["kind"] in kinds)
        self.assertEqual(process["parts"]["large_bytes"], of_kind(("large",)))
        self.assertEqual(process["parts"]["named_bytes"], of_kind(("sampled", "named_small", "named_large")))
        self.assertEqual(process["parts"]["dirty_bytes"] + process["parts"]["clean_bytes"],
                         of_kind(("free_dirty", "free_clean")))
        by_class = {}
        for span in mapped["spans"]:
            if span["kind"] == "small":
                none = {"spans": 0, "free": 0, "absent": 0, "batches": 0, "out": 0}
                row = by_class.setdefault(span["block_bytes"], none)
                row["spans"] += 1
                row["free"] += span["free"] - span["absent"]
                row["absent"] += span["absent"]
                row["batches"] += span["batches"]
                row["out"] += span["live"] + span["cached"]
        self.assertGreater(len(by_class), 5)
        for row in process["classes"]:
            if row["spans"] == 0:
                continue
            expected = by_class.pop(row["block_bytes"])
            self.assertEqual({"spans": row["spans"], "free": row["free_blocks"], "absent": row["absent_blocks"],
                              "batches": row["batch_blocks"], "out": row["handed_out_blocks"]}, expected)
        self.assertEqual(by_class, {})

    def test_no_site_pins_more_than_is_said(self):
        mapped, told, process = self.map_and_recording()
        pins, _, _ = self.expected_pins(mapped, told)
        for name in ("pin_often", "pin_seldom"):
            site = self.site(process, name)
            self.assertEqual((site["live"]["blocks"], site["live"]["bytes"]), (len(told[name]), len(told[name]) * 1250))
            self.assertGreater(pins[name], 0)
            self.assertGreaterEqual(site["most_pinned_bytes"], pins[name])
            self.assertLessEqual(site["even_pinned_bytes"], site["most_pinned_bytes"])
        # Nobody else's blocks of that size are there, so the two pin all that is free in spans of it.
        self.assertIs(process["sites"][0], self.site(process, "pin_often"))
        large = self.site(process, "hold_large")
        self.assertEqual((large["most_pinned_bytes"], large["usable_bytes"] >= large["live"]["bytes"]), (0, True))

    def test_another_moment_and_chosen_blocks(self):
        self.map_and_recording()
        begin, end, peak = (self.of_recording(*words) for words in (("--at", "0"), (), ("--peak",)))
        self.assertLess(begin["moment_ns"], end["moment_ns"])
        self.assertGreaterEqual(peak["parts"]["live_bytes"], begin["parts"]["live_bytes"])
        chosen = self.of_recording("--function", "pin_seldom")
        site, = chosen["sites"]
        self.assertEqual(site["live"]["blocks"], 63)
        self.assertEqual(chosen["parts"], end["parts"])
        self.assertEqual(self.of_recording("--thread", "no-such")["sites"], [])
        self.assertEqual(len(self.of_recording("--size", "1M..")["sites"]), 1)
        self.assertEqual(self.of_recording("--window", "0s..1ns")["sites"], [])

    def test_text(self):
        self.map_and_recording()
        text = self.tenure("fragmentation", self.recording).stdout.decode()
        self.assertRegex(text, r"heap [\d.]+ MiB, of [\d.]+ MiB that were resident")
        self.assertRegex(text, r"Who may pin it  ")
        self.assertRegex(text, r"pin_often\n +planted_fragments\.cc:\d+ < ")
        self.assertRegex(text, r"Size classes  ")

    def test_a_recording_without_an_end_is_told_to_where_it_goes(self):
        self.map_and_recording()
        whole = self.recording.read_bytes()
        self.recording.write_bytes(whole[:len(whole) * 2 // 3])
        done = self.tenure("fragmentation", self.recording, code=1)
        self.assertIn("cut off", done.stdout.decode())


class BadInputTest(FragmentationCase):
    def refused(self, *words, sentence):
        done = self.tenure("fragmentation", *words, code=2)
        self.assertIn(sentence, done.stderr.decode())
        self.assertEqual(done.stderr.count(b"\n"), 1, done.stderr)

    def test_one_subject_and_options_that_fit_it(self):
        self.refused(sentence="one process, one recording or one command")
        self.refused("1", "--", "true", sentence="one process, one recording or one command")
        self.refused("no-such.tenure", sentence="no-such.tenure")
        self.refused("99999999999999", sentence="there can be no process")
        self.refused("--wait", "1s", "--", "true", sentence="--wait is of a process")
        self.refused("--window", "1s..2s", "1", sentence="--window is of a recording or a command")
        self.refused("--at", "1s", "1", sentence="--at is of a recording")
        self.refused("--peak", "--", "true", sentence="--peak is of a recording")
        self.refused("--at", "1s", "--peak", "run.tenure", sentence="two moments")
        self.refused("--recording", "kept", "run.tenure", sentence="--recording is of a command")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
