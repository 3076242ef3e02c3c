#!/usr/bin/env python3
"""A cache is an owner in the report of `tenure run`: cache_owner_test.py TENURE LIBRARY KNOWN_CACHE."""

import sys
import unittest

import ledger_report


class CacheOwnerTest(unittest.TestCase):
    def test_its_bytes_are_exact(self):
        accounts, printed = ledger_report.run(self)
        used, entries, peak = map(int, printed.split())
        texts = next(one for one in accounts if one["name"] == "texts")
        self.assertEqual(texts["kind"], "cache")
        self.assertEqual(accounts[texts["parent"]]["name"], "server")
        self.assertEqual(texts["held_bytes"], used)
        self.assertEqual(texts["hard_limit_bytes"], 2 << 20)
        self.assertLessEqual(texts["peak_held_bytes"], peak)
        self.assertLessEqual(peak, 2 << 20)
        self.assertEqual(texts["refusals"], 0)
        self.assertEqual(texts["use"]["used_blocks"], entries)
        # What is set aside for the policy is held, and not in use.
        self.assertEqual(texts["held_bytes"] - texts["use"]["used_bytes"], (2 << 20) // 16)
        # Each text and its node: what the cache counts is what the heap gave.
        self.assertGreater(texts["use"]["used_bytes"], entries * 350)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
