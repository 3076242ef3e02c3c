"""The oracle, the means and the failures of bench/heap's report, on figures whose answers are worked out by hand."""
import pathlib
import sys
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "bench/heap"))

from harness import report  # noqa: E402 (the path must be set first)


def sample(seconds, mebibytes):
    return {"time_seconds": seconds, "peak_rss_bytes": mebibytes * 1024 * 1024}


def figures(failures=None):
    samples = {
        "small": {"tenure": [sample(3.0, 10)] * 3, "left": [sample(2.0, 40)] * 3, "right": [sample(4.0, 20)] * 3},
        "large": {"tenure": [sample(1.0, 8)] * 3, "left": [sample(8.0, 4)] * 3, "right": [sample(2.0, 4)] * 3},
    }
    return report.Figures(["small", "large"], ["tenure", "left", "right"], samples,
                          {"small": {}, "large": {}, **(failures or {})})


class Report(unittest.TestCase):
    def test_the_oracle_is_the_best_peer_in_each_measure_and_never_tenure(self):
        self.assertEqual(figures().oracle("time", "small"), (2.0, "left"))
        self.assertEqual(figures().oracle("peak RSS", "small"), (20 * 1024 * 1024, "right"))
        self.assertEqual(figures().oracle("time", "large"), (2.0, "right"))

    def test_geometric_means(self):
        self.assertAlmostEqual(figures().geometric_mean("time", "tenure"), (1.5 * 0.5) ** 0.5)
        self.assertAlmostEqual(figures().geometric_mean("time", "left"), 4 ** 0.5)
        self.assertAlmostEqual(figures().geometric_mean("peak RSS", "tenure"), (0.5 * 2) ** 0.5)

    def test_medians_do_not_follow_one_wild_round(self):
        some = figures()
        some.samples["small"]["tenure"] = [sample(3.0, 10), sample(30.0, 10), sample(2.0, 10)]
        self.assertAlmostEqual(some.ratio("time", "small", "tenure"), 1.5)

    def test_an_oracle_that_is_only_luck_is_none_when_the_other_rounds_choose_it(self):
        some = figures()
        # Lucky in one round of four, each in another.
        some.samples["small"] = {"tenure": [sample(4.0, 1)] * 4,
                                 "left": [sample(value, 1) for value in (1.0, 4.0, 4.0, 4.0)],
                                 "right": [sample(value, 1) for value in (8.0, 2.0, 8.0, 8.0)]}
        self.assertAlmostEqual(some.held_out_ratio("small", "tenure"), 1.0)
        some.samples["small"]["right"] = [sample(2.0, 1)] * 4
        self.assertAlmostEqual(some.held_out_ratio("small", "tenure"), 2.0)  # best in every round: no luck
        self.assertAlmostEqual(some.held_out_ratio("large", "tenure"), 0.5)
        self.assertAlmostEqual(some.held_out_mean("tenure"), 1.0)

    def test_two_rounds_hold_none_out(self):
        some = figures()
        for one in some.samples["small"].values():
            del one[2:]
        self.assertIsNone(some.held_out_ratio("small", "tenure"))
        self.assertIsNone(figures({"small": {"tenure": ["wrong output"]}}).held_out_ratio("small", "tenure"))

    def test_one_failure_takes_the_cell_out_and_is_told(self):
        some = figures({"small": {"left": ["ended by signal 11"]}})
        self.assertEqual(some.oracle("time", "small"), (4.0, "right"))
        self.assertIsNone(some.ratio("time", "small", "left"))
        text = report.markdown(some, "about", {})
        self.assertIn("- left on small: ended by signal 11", text)
        self.assertIn("FAILED", text)
        self.assertIn("| left | 4.00 | 4.00 | large 4.00 | 1.00 | large 1.00 | 1 of 2 |", text)

    def test_losses_come_first_and_the_worst_of_them_on_top(self):
        some = figures()
        some.samples["large"]["tenure"] = [sample(4.0, 8)] * 3
        text = report.markdown(some, "about", {})
        self.assertLess(text.index("Where Tenure loses"), text.index("Geometric means"))
        self.assertLess(text.index("- large 2.00 (best: right)"), text.index("- small 1.50 (best: left)"))

    def test_the_burst_is_told_with_and_without_what_the_program_held_before(self):
        mebibyte = 1024 * 1024
        said = {"live_bytes": 100 * mebibyte, "usable_bytes": 104 * mebibyte,
                "touched_page_bytes": 110 * mebibyte, "start_rss_bytes": 5 * mebibyte,
                "rss_bytes_by_second": [400 * mebibyte] + [115 * mebibyte] * 10}
        other = {**said, "start_rss_bytes": 15 * mebibyte, "usable_bytes": 115 * mebibyte}
        lines = report.burst_lines({"tenure": said, "left": other, "right": "FAILED"})
        self.assertIn("| without the program's own 5.0 MiB |", lines[2])
        self.assertEqual(lines[4], "| tenure | 100 | 400 | 115 | 115 | 115 | 1.15 | 1.10 | 1.11 | 1.05 |")
        self.assertEqual(lines[5], "| left | 100 | 400 | 115 | 115 | 115 | 1.15 | 1.10 | 1.00 | 1.05 |")
        self.assertEqual(lines[6].count("|"), lines[4].count("|"))

    def test_the_short_table_names_a_failure_of_tenure(self):
        text = report.summary(figures({"large": {"tenure": ["exit code 1"]}}), "about", {})
        self.assertIn("- tenure on large: exit code 1", text)
        self.assertIn("| large | 2.000 right | FAILED |", text)


if __name__ == "__main__":
    unittest.main()
