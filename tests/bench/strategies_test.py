"""The scripts of bench/strategies: what they say of figures that are known, and that all of the benchmark runs. No time
is asserted."""
import gzip
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bench/strategies"))

import bars  # noqa: E402 (the path must be set first)
import traces  # noqa: E402

# The build folder; without one what needs programs is left out.
BUILD = pathlib.Path(sys.argv.pop()) if len(sys.argv) > 1 else pathlib.Path("/nowhere")
TENURE = BUILD / "bin/tenure"
BENCHMARK = BUILD / "bin/strategies_benchmark"


class Bars(unittest.TestCase):
    def test_a_figure_is_the_median_of_what_has_its_name(self):
        of = bars.Figures([
            {"name": "pair/one/min_time:0.050", "cpu_time": 3.0},
            {"name": "pair/one", "cpu_time": 9.0},
            {"name": "pair/one/iterations:1", "cpu_time": 4.0},
            {"name": "ratio/loop_300/lru", "cpu_time": 1.0, "percent": 12.5},
        ])
        self.assertEqual(of.median("pair/one"), 4.0)
        self.assertEqual(of.percents("loop_300"), {"lru": 12.5})
        self.assertEqual(of.kinds(), ["loop_300"])
        self.assertFalse(of.has("pair/two"))

    @unittest.skipUnless(BENCHMARK.exists(), "needs the benchmark")
    def test_every_bar_is_measured(self):
        command = [sys.executable, ROOT / "bench/strategies/bars.py", "--quick", BENCHMARK]
        told = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        rows = [line for line in told.splitlines() if line.startswith("| ")][1:]
        self.assertEqual(len(rows), 21)
        for row in rows:
            what, _, measured, holds = [cell.strip() for cell in row.strip("|").split("|")]
            self.assertRegex(measured, r"[0-9]", what)
            self.assertIn(holds, ("yes", "**no**"), what)
        self.assertRegex(told, r"[0-9]+ of 21 hold\.")


class Traces(unittest.TestCase):
    known = {"some": ({}, {10: {"lru": 30.0, "lirs": 40.0, "opt": 60.0, "adaptive": 39.5},
                           20: {"lru": 50.0, "lirs": 45.0, "opt": 70.0, "adaptive": 48.5}})}

    def test_the_adaptive_one_is_held_against_the_best_of_the_others(self):
        lines = list(traces.table(self.known))
        self.assertEqual(lines[2], "| some | 10 | 30.0 | **40.0** | 60.0 | 39.5 | -0.50 |")
        self.assertEqual(lines[3], "| some | 20 | **50.0** | 45.0 | 70.0 | 48.5 | -1.50 |")
        text, is_kept = traces.verdict(self.known)
        self.assertIn("in 1 of 2", text)
        self.assertIn("-1.50 (some, 20 objects)", text)
        self.assertFalse(is_kept)

    @unittest.skipUnless(TENURE.exists(), "needs tenure")
    def test_a_folder_of_traces_is_simulated(self):
        with tempfile.TemporaryDirectory() as folder:
            here = pathlib.Path(folder)
            # Ten objects round and round: LRU hits all but the first ten where they fit, and nothing where they do not.
            requests = "".join(f"{place % 10}\n" for place in range(1000))
            (here / "round.trace.gz").write_bytes(gzip.compress(requests.encode()))
            (here / "again.txt").write_text(requests)
            (here / "README.md").write_text("no trace")
            command = [sys.executable, ROOT / "bench/strategies/traces.py", "--sizes", "5,10", TENURE, here]
            told = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        self.assertIn("- round: 1,000 requests for 10 objects", told)
        head = next(line for line in told.splitlines() if line.startswith("| trace"))
        lru = [cell.strip() for cell in head.split("|")].index("lru")
        lines = [line.split("|") for line in told.splitlines() if line.startswith("| ")]
        rows = {(line[1].strip(), line[2].strip()): [cell.strip().strip("*") for cell in line] for line in lines}
        self.assertEqual({name for name, _ in rows} - {"trace"}, {"round", "again.txt"})
        self.assertEqual(rows[("round", "5")][lru], "0.0")
        self.assertEqual(rows[("round", "10")][lru], "99.0")
        self.assertTrue(re.search(r"in [0-9] of 4", told))


if __name__ == "__main__":
    unittest.main()
