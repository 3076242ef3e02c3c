#!/usr/bin/env python3
"""Each resource and adaptor is an owner in the report of `tenure run`, with its bytes to the last one:
resources_owner_test.py TENURE LIBRARY KNOWN_RESOURCES."""

import sys
import unittest

import ledger_report


class ResourcesOwnerTest(unittest.TestCase):
    def test_bytes_are_exact(self):
        ledger_report.check_owners(self, 21)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
