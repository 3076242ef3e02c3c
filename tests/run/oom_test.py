#!/usr/bin/env python3
"""A program that the kernel kills at the limit of its memory cgroup: oom_test.py TENURE LIBRARY KNOWN_PROGRAM.

The program alone is in the group: what Tenure holds outlives it. Skipped where no memory cgroup can be made."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

TENURE, LIBRARY, KNOWN = sys.argv[1:4]
MEBIBYTE = 1 << 20
LIMIT = 96 * MEBIBYTE


def limits_of(parent):
    """The file of the limit, and those that refuse swap, in the groups below `parent`; None where there is no such."""
    if (parent / "memory.limit_in_bytes").exists():
        return "memory.limit_in_bytes", {"memory.memsw.limit_in_bytes": LIMIT, "memory.swappiness": 0}
    controllers = parent / "cgroup.subtree_control"
    if controllers.exists() and "memory" in controllers.read_text().split():
        return "memory.max", {"memory.swap.max": 0}
    return None


def make_group():
    """A fresh group with the limit, or why there is none."""
    for parent in (pathlib.Path("/sys/fs/cgroup/memory"), pathlib.Path("/sys/fs/cgroup")):
        found = limits_of(parent)
        if found is None:
            continue
        limit, swap = found
        group = parent / f"tenure-test-{os.getpid()}-{time.monotonic_ns()}"
        try:
            group.mkdir()
        except OSError as error:
            return None, f"{parent}: {error.strerror}"
        (group / limit).write_text(str(LIMIT))
        for name, value in swap.items():
            if (group / name).exists():
                (group / name).write_text(str(value))
        return group, ""
    return None, "no memory cgroup"


class OutOfMemoryTest(unittest.TestCase):
    def setUp(self):
        self.group, why_not = make_group()
        if self.group is None:
            self.skipTest(why_not)
        self.addCleanup(self.remove_group)
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="tenure-oom-test."))
        self.addCleanup(shutil.rmtree, self.folder)
        self.environment = dict(os.environ, TENURE_LIBRARY=LIBRARY, XDG_CACHE_HOME=str(self.folder / "cache"))
        self.environment.pop("LD_PRELOAD", None)

    def remove_group(self):
        for _ in range(100):
            try:
                self.group.rmdir()
                return
            except OSError:  # What died in it is still on its way out.
                time.sleep(0.05)
        self.fail(f"{self.group} has processes left")

    def run_into_the_limit(self, *command):
        # Twice the limit, in blocks that stay.
        program = f"echo $$ >{self.group}/cgroup.procs; exec {KNOWN} keep {2 * LIMIT // MEBIBYTE}"
        done = subprocess.run([TENURE, *map(str, command), "--", "sh", "-c", program], env=self.environment,
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=240)
        self.assertEqual(done.returncode, 137, done.stderr)
        return done.stderr.decode()

    def the_one(self, document):
        # A list of words in a report, one text in a recording's.
        found = [process for process in document["processes"] if "".join(process["command"]).startswith(KNOWN)]
        self.assertEqual(len(found), 1)
        return found[0]

    def kept_by(self, sites):
        found = [site for site in sites if "keep_blocks" in site["name"]]
        self.assertEqual(len(found), 1)
        return found[0]

    def test_the_report_is_complete_up_to_the_kill(self):
        path = self.folder / "report.json"
        self.run_into_the_limit("run", "--json", "-o", path, "--sample-interval", "64K")
        document = json.loads(path.read_text())
        self.assertEqual(document["run"]["exit_signal"], 9)
        killed = self.the_one(document)
        self.assertEqual(killed["end"], "killed")
        # Blocks of 1000 bytes take 1024, and something is not the heap's.
        kept = self.kept_by(killed["by_function"]["sites"])["live_at_exit"]["bytes"]
        self.assertLess(abs(kept["value"] - 0.9 * LIMIT), 5 * kept["standard_error"] + 0.1 * LIMIT)
        self.assertEqual(killed["sampling"]["dropped_events"], 0)

    def test_the_recording_has_every_block_up_to_the_kill(self):
        path = self.folder / "killed.tenure"
        self.run_into_the_limit("record", "-q", "-o", path)
        done = subprocess.run([TENURE, "report", "--json", path], env=self.environment, capture_output=True,
                              timeout=120, check=True)
        kept = self.kept_by(self.the_one(json.loads(done.stdout))["by_function"])["never_freed"]
        self.assertGreater(kept["bytes"], 0.8 * LIMIT)
        self.assertLess(kept["bytes"], LIMIT)
        # Each has 1000 bytes but for the vector's array of pointers, which doubles.
        array, rest = divmod(kept["bytes"] - (kept["blocks"] - 1) * 1000, 8)
        self.assertEqual((array.bit_count(), rest), (1, 0), kept)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
