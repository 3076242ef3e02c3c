#!/usr/bin/env python3
"""The worked example of docs/guide/a-leak-in-jq.md: jq_leak_test.py TENURE LIBRARY FIND_SH.

Debian's jq 1.6 loses what `startswith` says of each value that is no string. Oracles: one loss for each such value, and
valgrind's memcheck on the same command, where it is installed.
"""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

TENURE, LIBRARY, FIND = sys.argv[1:4]
JQ = shutil.which("jq")
EVENTS = 4000
FILTER = '.id |= ltrimstr("v")'


def jq_version():
    return subprocess.run([JQ, "--version"], capture_output=True, text=True, check=False).stdout if JQ else ""


@unittest.skipUnless(jq_version().startswith("jq-1.6"), "needs jq 1.6")
class JqLeakTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="tenure-jq-test.")
        self.addCleanup(folder.cleanup)
        self.events = pathlib.Path(folder.name) / "events.json"
        self.events.write_text("".join(json.dumps({"id": f"v{i}" if i % 2 else i}) + "\n"
                                       for i in range(1, EVENTS + 1)))
        self.command = [JQ, "-c", FILTER, str(self.events)]
        self.environment = dict(os.environ, TENURE_LIBRARY=LIBRARY, TENURE=TENURE)

    def scan(self):
        answer = self.events.with_name("leaks.json")
        subprocess.run([TENURE, "leaks", "--json", "-o", str(answer), "--", *self.command], env=self.environment,
                       stdout=subprocess.DEVNULL, check=True, timeout=120)
        process, = json.loads(answer.read_text())["processes"]
        return process

    def test_each_value_that_is_no_string_is_lost_in_ltrimstr(self):
        process = self.scan()
        # The value that says what is wrong, and its text. A stale pointer in one may lead to another.
        self.assertEqual(process["definite"]["blocks"] + process["indirect"]["blocks"], EVENTS)
        self.assertGreater(process["definite"]["blocks"], 0.99 * EVENTS / 2)
        largest = max((site for site in process["sites"] if site["kind"] == "definite"),
                      key=lambda site: site["blocks"])
        self.assertEqual(largest["stack"][0]["function"], "jv_invalid_with_msg")
        self.assertIn("jq_next", [frame["function"] for frame in largest["stack"]])

    @unittest.skipUnless(shutil.which("valgrind"), "needs valgrind")
    def test_valgrind_finds_the_same(self):
        done = subprocess.run(["valgrind", "--leak-check=full", *self.command], stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE, text=True, check=True, timeout=200)
        lost = {kind: (int(size.replace(",", "")), int(blocks.replace(",", ""))) for kind, size, blocks in
                re.findall(r"(definitely|indirectly) lost: ([\d,]+) bytes in ([\d,]+) blocks", done.stderr)}
        process = self.scan()
        for figure, column in (("bytes", 0), ("blocks", 1)):
            self.assertEqual(process["definite"][figure] + process["indirect"][figure],
                             lost["definitely"][column] + lost["indirectly"][column], figure)

    def test_the_script_shows_each_step(self):
        done = subprocess.run([FIND, str(EVENTS)], env=self.environment, capture_output=True, text=True, timeout=200)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stderr, "")
        steps = done.stdout.split("\n$ ")[1:]
        self.assertEqual([step.split(" ")[1] for step in steps], ["record", "leaks", "leaks", "check"])
        never_freed = steps[1]
        self.assertIn("Suspected", never_freed)
        suspects = never_freed.split("Suspected")[1].split("Never freed")[0]
        for function in ("jv_invalid_with_msg", "jv_string_sized"):
            self.assertIn(function, suspects)
        # The stack that is shown of a suspect is that of the loss, and not of the program's start.
        self.assertEqual(suspects.count("jq_next"), 2)
        self.assertNotIn("jv_load_file", suspects)
        self.assertRegex(steps[2], r"definite +\S+ KiB in (1\d{3}|2000) blocks")
        self.assertIn("1 of 1 limits broken", steps[3])
        self.assertIn("exit code 1", steps[3])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
