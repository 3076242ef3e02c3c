#!/usr/bin/env python3
"""Runs a real program twice, on glibc's heap and on the heap that LD_PRELOAD names, and compares what it writes.

    LD_PRELOAD=.../libtenure-malloc.so TENURE_TEST_PROBE=.../libengaged_probe.so compare_program.py sqlite3

Exit code 0 when standard output, standard error, exit codes and the files that the case names are the same, byte for
byte. A probe library preloaded beside the heap notes for each process whether Tenure serves it; the test fails unless
the program of the case is among them and all of them are. TENURE_TEST_ANY_ALLOCATOR=1 lifts that. Options of the heap
for samples and misuse, such as TENURE_SAMPLE_INTERVAL, hold for the programs too.
"""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import language_cases
import server_cases
import tool_cases

# What of the environment goes to the programs on the heap.
HEAP_OPTIONS = ("TENURE_SAMPLE_", "TENURE_ABORT_")

CASES = {**language_cases.CASES, **server_cases.CASES, **tool_cases.CASES}


class Session:
    """One pass over a case: where it works, with which environment, and what came out."""

    def __init__(self, folder, environment):
        self.folder = folder
        self.environment = environment
        self.outcome = {}
        self.user = None

    def run(self, name, *command, stdin=b"", environment=None, timeout=100):
        """Runs a command in the folder and keeps its output, error output and exit code under the name."""
        done = subprocess.run(
            command, cwd=self.folder, input=stdin, capture_output=True, timeout=timeout, check=False,
            env={**self.environment, **(environment or {})}, **self.identity())
        self.outcome[f"{name}: standard output"] = done.stdout
        self.outcome[f"{name}: standard error"] = done.stderr
        self.outcome[f"{name}: exit code"] = str(done.returncode).encode()
        return done

    def start(self, *command, environment=None):
        """Starts a server; the case stops it."""
        return subprocess.Popen(
            command, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, env={**self.environment, **(environment or {})}, **self.identity())

    def identity(self):
        return {} if self.user is None else {"user": self.user, "group": self.user, "extra_groups": []}

    def keep_file(self, path):
        self.outcome[f"file {path}"] = (self.folder / path).read_bytes()

    def become_ordinary(self):
        """Servers that refuse to run as root run as nobody."""
        if os.getuid() != 0:
            return
        self.user = "nobody"
        shutil.chown(self.folder, "nobody", "nogroup")
        self.identity = lambda: {"user": "nobody", "group": "nogroup", "extra_groups": []}


def run_pass(case, base, libraries):
    # The same folder in both passes, so that paths in the output are the same.
    folder, engaged = base / "work", base / "engaged"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.rmtree(engaged, ignore_errors=True)
    folder.mkdir(mode=0o755)
    engaged.mkdir()
    engaged.chmod(0o777)
    environment = {
        "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "HOME": str(folder), "LC_ALL": "C.UTF-8", "TZ": "UTC",
        "TENURE_TEST_ENGAGED": str(engaged), "SOURCE_DATE_EPOCH": "1700000000",
    }
    if libraries:
        environment["LD_PRELOAD"] = " ".join(str(library) for library in libraries)
        environment.update((name, value) for name, value in os.environ.items() if name.startswith(HEAP_OPTIONS))
    session = Session(folder, environment)
    case.run(session)
    return session.outcome, sorted(note.name for note in engaged.iterdir())


def engagement_fault(case, notes):
    if os.environ.get("TENURE_TEST_ANY_ALLOCATOR") == "1":
        return None
    strangers = [note for note in notes if note.endswith(".other")]
    if strangers:
        return f"not on Tenure's heap: {', '.join(strangers)}"
    for program in case.programs:
        if not any(note.split(".")[0] == program or note.startswith(program + ".") for note in notes):
            return f"{program} never ran on Tenure's heap; seen were: {', '.join(notes) or 'none'}"
    return None


def differences(expected, found):
    for name in sorted(expected.keys() | found.keys()):
        left, right = expected.get(name), found.get(name)
        if left == right:
            continue
        if left is None or right is None:
            yield f"{name}: only one of the two has it"
            continue
        place = next((at for at, pair in enumerate(zip(left, right)) if pair[0] != pair[1]), min(len(left), len(right)))
        yield (f"{name}: {len(left)} and {len(right)} bytes, different from byte {place} on\n"
               f"  glibc: {left[max(0, place - 40):place + 200]!r}\n  other: {right[max(0, place - 40):place + 200]!r}")


def main():
    if len(sys.argv) != 2 or sys.argv[1] not in CASES:
        sys.exit(f"usage: compare_program.py {'|'.join(sorted(CASES))}")
    case = CASES[sys.argv[1]]
    preload, probe = os.environ.get("LD_PRELOAD", ""), os.environ.get("TENURE_TEST_PROBE", "")
    if not preload or not probe:
        sys.exit("LD_PRELOAD and TENURE_TEST_PROBE say what is to be compared with glibc's heap; one is missing")
    missing = [program for program in case.needs if shutil.which(program) is None]
    if missing:
        sys.exit(f"not installed: {', '.join(missing)} (tools/packages/test.txt has the packages)")

    with tempfile.TemporaryDirectory(prefix="tenure-programs-") as name:
        base = pathlib.Path(name)
        base.chmod(0o755)
        # Copies, which an unprivileged server can read wherever the build is.
        libraries = [pathlib.Path(shutil.copy(library, base)) for library in (preload, probe)]
        expected, _ = run_pass(case, base, [])
        found, notes = run_pass(case, base, libraries)
        fault = engagement_fault(case, notes)
        if fault:
            sys.exit(fault)
        written = sum(len(content) for content in expected.values())
        if written < case.least_bytes:
            sys.exit(f"the case wrote {written} bytes, which is too little to compare: {expected}")
        failed = [name for name, content in expected.items() if name.endswith("exit code") and content != b"0"]
        if failed:
            sys.exit(f"failed already on glibc's heap: {failed}: {expected}")
        faults = list(differences(expected, found))
        if faults:
            sys.exit("\n".join(faults))
        print(f"{sys.argv[1]}: {written} bytes in {len(expected)} outputs are the same; {len(notes)} processes")


if __name__ == "__main__":
    main()
