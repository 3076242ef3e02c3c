#!/usr/bin/env python3
"""Each pool is an owner in the report of `tenure run`, with its bytes to the last one:
pools_owner_test.py TENURE LIBRARY KNOWN_POOLS."""

import sys
import unittest

import ledger_report


class PoolsOwnerTest(unittest.TestCase):
    def test_bytes_are_exact(self):
        accounts, printed = ledger_report.run(self)
        told = [line.split("|") for line in printed.splitlines()]
        self.assertEqual(len(told), 3)
        children = 0
        for kind, name, held, used, blocks, parent in told:
            with self.subTest(name):
                account = next(one for one in accounts if one["name"] == name)
                self.assertEqual(account["kind"], kind)
                self.assertEqual(account["held_bytes"], int(held))
                self.assertEqual(account["use"]["used_bytes"], int(used))
                self.assertEqual(account["use"]["used_blocks"], int(blocks))
                self.assertGreater(int(used), 0)
                self.assertGreaterEqual(int(held), int(used))
                self.assertGreaterEqual(account["peak_held_bytes"], int(held))
                if parent:
                    self.assertEqual(accounts[account["parent"]]["name"], parent)
                    children += int(held)
        # The account above holds the sum.
        server = next(one for one in accounts if one["name"] == "server")
        self.assertEqual(server["held_bytes"], children)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
