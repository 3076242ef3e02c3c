"""The plot, strace's table and the parts of bench/heap/curve.py, on figures whose answers are worked out by hand; and a
trace of a program whose allocations are known, recorded, converted and done again."""
import json
import os
import pathlib
import re
import struct
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree

sys.dont_write_bytecode = True
ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bench/heap"))

from harness import plot, report, system  # noqa: E402 (the path must be set first)

MEBIBYTE = 1024 * 1024
# The build folder; without one what needs programs is left out.
BUILD = pathlib.Path(sys.argv.pop()) if len(sys.argv) > 1 else None


def sample(seconds, mebibytes):
    return {"time_seconds": seconds, "peak_rss_bytes": mebibytes * MEBIBYTE}


def figures(failures=None):
    samples = {
        "small": {"tenure": [sample(2.0, 20)], "left": [sample(2.0, 40)], "right": [sample(4.0, 20)]},
        "large": {"tenure": [sample(1.0, 8)], "left": [sample(80.0, 4)], "right": [sample(2.0, 4)]},
    }
    return report.Figures(["small", "large"], ["tenure", "left", "right"], samples,
                          {"small": {}, "large": {}, **(failures or {})})


class Plot(unittest.TestCase):
    def circles(self, text):
        root = xml.etree.ElementTree.fromstring(text)
        return [one for one in root.iter("{http://www.w3.org/2000/svg}circle") if len(one)]

    def test_one_point_an_allocator_in_each_panel_and_in_the_mean(self):
        titles = [one[0].text for one in self.circles(plot.svg(figures(), "about"))]
        self.assertEqual(len(titles), 3 * 3)
        self.assertIn("tenure: time 1.00, peak RSS 1.00", titles)
        self.assertIn("right: time 2.00, peak RSS 1.00", titles)
        self.assertIn("tenure: time 0.71, peak RSS 1.41", titles)  # the mean of 1, 1/2 and of 1, 2

    def test_left_and_down_is_better_and_a_doubling_is_as_far_everywhere(self):
        self.assertEqual(plot.place(plot.LOWEST), (0.0, True))
        self.assertEqual(plot.place(plot.HIGHEST)[0], 1.0)
        self.assertAlmostEqual(plot.place(2)[0] - plot.place(1)[0], plot.place(8)[0] - plot.place(4)[0])
        by_title = {one[0].text: one for one in self.circles(plot.svg(figures(), "about"))}
        ours, right = by_title["tenure: time 1.00, peak RSS 1.00"], by_title["right: time 2.00, peak RSS 1.00"]
        self.assertEqual(ours.get("cx"), right.get("cx"))
        self.assertGreater(float(ours.get("cy")), float(right.get("cy")))

    def test_what_lies_beyond_the_scale_is_a_ring_at_its_edge(self):
        self.assertEqual(plot.place(40), (1.0, False))
        beyond = next(one for one in self.circles(plot.svg(figures(), "about")) if "time 40.00" in one[0].text)
        self.assertEqual(beyond.get("fill"), "none")

    def test_what_failed_has_no_point(self):
        some = figures({"small": {"left": ["ended by signal 11"]}})
        self.assertEqual(len(self.circles(plot.svg(some, "about"))), 3 * 3 - 1)


class System(unittest.TestCase):
    TABLE = """% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 61.66    0.001108           3       295           madvise
 25.49    0.000458           3       137         2 munmap
 12.85    0.000231           2        79           mmap
------ ----------- ----------- --------- --------- ----------------
100.00    0.001797           3       511         2 total
"""

    def test_calls_and_the_time_in_which_memory_is_given_back(self):
        calls = system.parse(self.TABLE)
        self.assertEqual(calls, {"madvise": (295, 0.001108), "munmap": (137, 0.000458), "mmap": (79, 0.000231)})
        self.assertEqual(system.row(12, calls), ["12", "511", "295", "1.6"])
        self.assertEqual(system.row(3, {}), ["3", "0", "0", "0.0"])


OPERATION = struct.Struct("<QIIIB3x")
ALLOCATE, ZEROED, ALIGNED, REALLOCATE, FREE = range(5)
PROGRAM = r"""
#include <stdlib.h>
int main(void) {
  char* grown = malloc(1000001);
  void* zeroed = calloc(7, 11);
  grown = realloc(grown, 3000003);
  void* aligned = aligned_alloc(256, 512);
  free(zeroed);
  free(grown);
  free(aligned);
  return 0;
}
"""


@unittest.skipUnless(BUILD and (BUILD / "bin/tenure-bench-trace").exists(), "needs a build with benchmarks")
class Replay(unittest.TestCase):
    def setUp(self):
        self.holder = tempfile.TemporaryDirectory()
        self.addCleanup(self.holder.cleanup)
        self.folder = pathlib.Path(self.holder.name)

    def tool(self, name, *words):
        environment = {key: value for key, value in os.environ.items() if not key.startswith("TENURE_")}
        return subprocess.run([BUILD / "bin" / name, *words], capture_output=True, text=True, env=environment)

    def recorded(self):
        (self.folder / "known.c").write_text(PROGRAM)
        subprocess.run(["gcc", "-O0", "-o", self.folder / "known", self.folder / "known.c"], check=True)
        done = self.tool("tenure", "record", "-q", "-o", self.folder / "run", "--", self.folder / "known")
        self.assertEqual(done.returncode, 0, done.stderr)
        done = self.tool("tenure-bench-trace", self.folder / "run", self.folder / "trace")
        self.assertEqual(done.returncode, 0, done.stderr)
        data = (self.folder / "trace").read_bytes()
        self.assertEqual(data[:8], b"TNTRACE1")
        threads, slots, count = struct.unpack_from("<IIQ", data, 8)
        operations = [OPERATION.unpack_from(data, 24 + 24 * index) for index in range(count)]
        self.assertEqual(len(data), 24 + 24 * count)
        return threads, slots, operations

    def test_a_known_program_is_told_as_it_was(self):
        threads, slots, operations = self.recorded()
        self.assertEqual(threads, 1)
        by_bytes = {one[0]: one for one in operations if one[4] != FREE}
        first, grown, zeroed, aligned = by_bytes[1000001], by_bytes[3000003], by_bytes[77], by_bytes[512]
        self.assertEqual([one[4] for one in (first, grown, zeroed, aligned)], [ALLOCATE, REALLOCATE, ZEROED, ALIGNED])
        self.assertEqual(grown[2], first[1])  # from the slot of the first one
        begin = operations.index(first)
        freed = [one[1] for one in operations[begin:] if one[4] == FREE]
        for block in (zeroed, grown, aligned):
            self.assertIn(block[1], freed)
        self.assertTrue(all(one[1] < slots and one[2] < slots for one in operations))

    def test_what_is_done_again_is_what_was_told(self):
        _, _, operations = self.recorded()
        done = self.tool("tenure-bench-heap", "replay", self.folder / "trace")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(json.loads(done.stdout)["operations"], len(operations))
        again = self.tool("tenure", "record", "-q", "-o", self.folder / "again", "--", BUILD / "bin/tenure-bench-heap",
                          "replay", self.folder / "trace")
        self.assertEqual(again.returncode, 0, again.stderr)
        rows = self.tool("tenure", "export", "-f", "csv", "--size", "3000003", self.folder / "again")
        self.assertIn("3000003", rows.stdout)

    def test_a_trace_that_is_cut_off_or_lies_is_refused(self):
        self.recorded()
        whole = (self.folder / "trace").read_bytes()
        far = bytearray(whole)
        struct.pack_into("<I", far, 24 + 8, 0xffffffff)  # a slot that there is not
        for damaged in (whole[:-24], whole[:20], b"x" + whole[1:], bytes(far)):
            (self.folder / "damaged").write_bytes(damaged)
            done = self.tool("tenure-bench-heap", "replay", self.folder / "damaged")
            self.assertEqual(done.returncode, 2)
            self.assertTrue(re.search(r"damaged is no trace, or is cut off", done.stderr), done.stderr)
        self.assertEqual(self.tool("tenure-bench-trace", self.folder / "trace", self.folder / "x").returncode, 2)


if __name__ == "__main__":
    unittest.main()
