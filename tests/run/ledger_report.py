"""The ledger that `tenure run` tells of a program, for the tests of owners; called with TENURE LIBRARY PROGRAM."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

TENURE, LIBRARY, PROGRAM = sys.argv[1:4]


def run(test):
    """(the accounts in the report, what the program printed of its own figures)."""
    with tempfile.TemporaryDirectory(prefix="tenure-owner-test.") as folder:
        environment = dict(os.environ, TENURE_LIBRARY=LIBRARY, XDG_CACHE_HOME=folder)
        environment.pop("LD_PRELOAD", None)
        path = pathlib.Path(folder) / "report.json"
        done = subprocess.run([TENURE, "run", "--json", "-o", path, "--", PROGRAM], env=environment,
                              capture_output=True, text=True, timeout=120)
        test.assertEqual(done.returncode, 0, done.stderr)
        document = json.loads(path.read_text())
    process = document["processes"][document["run"]["main_process"]]
    return process["ledger"]["accounts"], done.stdout


def check_owners(test, least):
    """The program printed KIND|NAME|HELD|USED|BLOCKS|PARENT of each of its owners: the report says the same.
    USED and BLOCKS are "-" of an owner that does not tell what of it is in use."""
    accounts, printed = run(test)
    told = [line.split("|") for line in printed.splitlines()]
    test.assertGreaterEqual(len(told), least)
    children = 0
    for kind, name, held, used, blocks, parent in told:
        with test.subTest(name):
            account = next(one for one in accounts if one["name"] == name)
            test.assertEqual(account["kind"], kind)
            test.assertEqual(account["held_bytes"], int(held))
            test.assertGreater(int(held), 0)
            if used != "-":
                test.assertEqual(account["use"]["used_bytes"], int(used))
                test.assertEqual(account["use"]["used_blocks"], int(blocks))
                test.assertGreater(int(used), 0)
                test.assertGreaterEqual(int(held), int(used))
            test.assertGreaterEqual(account["peak_held_bytes"], int(held))
            if parent:
                test.assertEqual(accounts[account["parent"]]["name"], parent)
                children += int(held)
    # The account above holds the sum.
    server = next(one for one in accounts if one["name"] == "server")
    test.assertEqual(server["held_bytes"], children)
