#!/usr/bin/env python3
"""What lies in managed heaps is in the report of `tenure run`: managed_owner_test.py TENURE LIBRARY KNOWN_MANAGED."""

import collections
import json
import math
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

TENURE, LIBRARY, PROGRAM = sys.argv[1:4]


def run(*arguments):
    """(the report, as text or JSON, what the program printed)."""
    with tempfile.TemporaryDirectory(prefix="tenure-managed-test.") as folder:
        environment = dict(os.environ, TENURE_LIBRARY=LIBRARY, XDG_CACHE_HOME=folder)
        environment.pop("LD_PRELOAD", None)
        path = pathlib.Path(folder) / "report"
        done = subprocess.run([TENURE, "run", *arguments[:-1], "-o", path, "--", PROGRAM, arguments[-1]],
                              env=environment, capture_output=True, text=True, timeout=120)
        return path.read_text(), done.stdout


def live_objects(process):
    """{name of the heap: its member `live_objects`}, of heaps that have it."""
    return {one["name"]: one["live_objects"] for one in process["ledger"]["accounts"] if "live_objects" in one}


def short(name):
    return name.replace("(anonymous namespace)::", "").split("(")[0]


def counts(groups):
    return {short(one["name"]): one for one in groups["groups"]}


class ManagedOwnerTest(unittest.TestCase):
    def check_counts(self, heaps, printed):
        by_type, by_site = collections.Counter(), collections.Counter()
        for line in printed.splitlines():
            heap, kind, function, objects = line.split("|")
            by_type[heap, kind] += int(objects)
            by_site[heap, function] += int(objects)
        self.assertEqual(len(by_type), 3)
        self.assertEqual(set(heaps), {heap for heap, _ in by_type}, "those that are there, and none that is gone")
        for told, key in ((by_type, "by_type"), (by_site, "by_site")):
            for (heap, name), objects in told.items():
                with self.subTest(heap=heap, name=name):
                    self.check(heaps[heap][key], name, objects, heap)
            for heap in heaps:
                names = {name for of, name in told if of == heap}
                self.assertEqual(heaps[heap][key]["count"], len(names), heaps[heap][key])

    def check(self, groups, name, objects, heap):
        found = counts(groups)[name]
        if heap == "documents":  # each is sampled: no error
            self.assertEqual(found["objects"]["value"], objects)
            self.assertEqual(found["samples"], objects)
            self.assertEqual(found["objects"]["standard_error"], 0)
        else:
            error = found["objects"]["standard_error"]
            self.assertGreater(error, 0)
            self.assertLess(error, objects / math.sqrt(found["samples"]) * 1.1)
            self.assertLess(abs(found["objects"]["value"] - objects), 5 * error)

    def test_by_type_and_site_of_a_program_that_is_killed(self):
        text, printed = run("--json", "kill")
        document = json.loads(text)
        process = document["processes"][document["run"]["main_process"]]
        self.check_counts(live_objects(process), printed)
        self.assertEqual(process["ledger"]["refused_contents"], 0)
        written = counts(live_objects(process)["documents"]["by_site"])["write_pages"]
        self.assertIn("known_managed.cc", written["chain"][0]["file"])
        self.assertIn("main", written["chain"][1]["function"])

    def test_of_a_program_that_ends(self):
        text, printed = run("--json", "exit")
        document = json.loads(text)
        self.check_counts(live_objects(document["processes"][document["run"]["main_process"]]), printed)

    def test_a_child_has_what_it_was_left(self):
        text, printed = run("--json", "fork")
        document = json.loads(text)
        parent = document["run"]["main_process"]
        self.check_counts(live_objects(document["processes"][parent]), printed)
        (child,) = [one for index, one in enumerate(document["processes"]) if index != parent]
        heaps = live_objects(child)
        self.assertNotIn("note", counts(heaps["documents"]["by_type"]))
        self.assertEqual(counts(heaps["documents"]["by_type"])["page"]["samples"], 430)

    def test_the_text_says_the_same(self):
        text, _ = run("exit")
        section = text.split("What lies in managed heap documents")[1].split("What lies in")[0]
        words = [line.split() for line in section.splitlines() if line.strip()]
        rows = {row[-1].removeprefix("namespace)::"): row for row in words}
        self.assertEqual(rows["note"][-2], "500")
        self.assertEqual(rows["page"][-2], "430")
        self.assertIn("500", rows["write_notes"], section)
        self.assertIn("30", rows["copy_pages"], section)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
