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
