#!/usr/bin/env python3
"""Each pool, interner and flyweight, and what references and columns are made from, is an owner in the report of
`tenure run`, with its bytes to the last one:
pools_owner_test.py TENURE LIBRARY KNOWN_POOLS."""

import sys
import unittest

import ledger_report


class PoolsOwnerTest(unittest.TestCase):
    def test_bytes_are_exact(self):
        ledger_report.check_owners(self, 9)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
