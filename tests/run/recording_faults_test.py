#!/usr/bin/env python3
"""`tenure record` where things go wrong or are many: recording_faults_test.py TENURE LIBRARY KNOWN_PROGRAM.

Oracles: what the programs below count themselves, and the whole recording for what is left of a part of it.
"""

import json
import subprocess
import sys
import unittest

from recording_case import KNOWN, TENURE, RecordingCase

# Blocks of a size that nothing else asks for.
MANY_THREADS = """
import ctypes, threading
malloc, free = ctypes.CDLL(None).malloc, ctypes.CDLL(None).free
malloc.restype, malloc.argtypes, free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]
here = threading.Barrier(500)
def work():
    here.wait()
    for _ in range(20): free(malloc(54321))
    malloc(54321)
threads = [threading.Thread(target=work) for _ in range(500)]
for one in threads: one.start()
for one in threads: one.join()
"""

FORK_STORM = """
import ctypes, os
malloc = ctypes.CDLL(None).malloc
for _ in range(150):
    if os.fork() == 0:
        for _ in range(7): malloc(54321)
        os._exit(0)
for _ in range(150): os.wait()
malloc(54321)
"""


def can_mount():
    done = subprocess.run(["unshare", "-rm", "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True)
    return done.returncode == 0


class FaultsTest(RecordingCase):
    def amounts(self, figure):
        return sum(one[figure]["blocks"] for one in self.report("--size", "54321")["processes"])

    def test_five_hundred_threads_lose_nothing(self):
        self.record(sys.executable, "-c", MANY_THREADS)
        self.assertEqual((self.amounts("allocated"), self.amounts("freed")), (500 * 21, 500 * 20))
        process = max(self.report()["processes"], key=lambda one: one["threads"])
        self.assertGreaterEqual(process["threads"], 501)
        self.assertEqual(process["lost"]["allocations"] + process["lost"]["frees"], 0)

    def test_a_fork_storm_loses_nothing(self):
        self.record(sys.executable, "-c", FORK_STORM)
        self.assertEqual(self.amounts("allocated"), 150 * 7 + 1)
        of_each = [one["allocated"]["blocks"] for one in self.report("--size", "54321")["processes"]]
        self.assertEqual(sorted(count for count in of_each if count != 0), [1] + [7] * 150)

    def test_a_flipped_bit_is_said_and_what_lies_before_it_is_read(self):
        self.record(KNOWN, "keep", 4, "churn", 30, "hand", 5)
        whole = self.only(self.report())
        content = bytearray(self.recording.read_bytes())
        seen = set()
        for share in range(1, 10):
            flipped = bytearray(content)
            flipped[len(content) * share // 10] ^= 1 << share % 8
            self.recording.write_bytes(flipped)
            done = subprocess.run([TENURE, "report", "--json", self.recording], env=self.environment,
                                  capture_output=True, timeout=120)
            self.assertEqual(done.returncode, 1, done.stderr)
            document = json.loads(done.stdout)
            self.assertTrue(document["damage"])
            for process in document["processes"]:
                self.assertLessEqual(process["events"], whole["events"])
                seen.add(process["events"])
        self.assertLess(min(seen), whole["events"])

    @unittest.skipUnless(can_mount(), "needs a mount of its own")
    def test_a_full_disk_leaves_what_had_room(self):
        # A third of what the recording takes, at most: that differs a little each time.
        small, words = self.folder / "small", [TENURE, "record", "-o"]
        small.mkdir()
        script = ('mount -t tmpfs -o size=64k none "$1" && shift && "$@"; code=$?; '
                  f'cp "{small}/run" "{self.recording}"; exit $code')
        done = subprocess.run(["unshare", "-rm", "sh", "-c", script, "sh", small, *words, small / "run", "--", KNOWN,
                               "churn", "1000", "hand", "400"], env=self.environment,
                              capture_output=True, timeout=200)
        self.assertIn(b"No space left on device", done.stderr)
        self.assertNotEqual(done.returncode, 0)
        process = self.report(code=1)["processes"][-1]
        self.assertGreater(process["events"], 0)
        self.assertFalse(process["is_complete"])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
