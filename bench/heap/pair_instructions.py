#!/usr/bin/env python3
"""Instructions that an allocator executes for one malloc and free, slow paths included in their share.

Runs a workload of tenure-bench-heap twice under callgrind, with two lengths, and divides the difference by the
difference in operations: what starting costs drops out, and what happens every so often is spread over all. Counted is
what runs inside the allocator's library. For Tenure, sampling on and off are compared over the whole program as well.

  bench/heap/pair_instructions.py [--workloads pair_16,pair_64] [--peer NAME=PATH]... [--only NAMES]
"""
import argparse
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from harness import allocators, execution  # noqa: E402 (the path must be set first)

SHORT, LONG = 400, 40  # Divisors of the whole workload.
WORKLOADS = "pair_16,pair_64,pair_256,pair_1k"
SAMPLING_OFF = {"TENURE_SAMPLE_INTERVAL": "0"}


class Profile:
    """Instructions by object file, and in all, of one callgrind output."""

    def __init__(self, text):
        self.by_object = {}
        self.total = 0
        names, current, skip = {}, None, False
        for line in text.splitlines():
            named = re.match(r"^(c?ob)=\((\d+)\)(?: (.*))?$", line)
            if named:
                if named[3]:
                    names[named[2]] = named[3]
                current = names[named[2]] if named[1] == "ob" else current
            elif line.startswith("calls="):
                skip = True  # The next line is the cost of the callee, counted where it was spent.
            elif re.match(r"^[+\-*\d]\S* \d+$", line):
                if not skip:
                    self.add(current, int(line.split()[1]))
                skip = False

    def add(self, where, cost):
        self.by_object[where] = self.by_object.get(where, 0) + cost
        self.total += cost

    def of(self, library):
        """What ran in the library, and in what callgrind cannot place: gperftools' malloc has a section of its own."""
        return sum(cost for where, cost in self.by_object.items()
                   if where == "???" or execution.same_file(where, library))


def reason(said):
    """The first line of standard error that is not valgrind's own."""
    return next((line for line in said.splitlines() if line.strip() and not line.startswith("==")), "no reason given")


def profile(bench, allocator, workload, divisor, variables):
    """(operations, Profile) of one run under callgrind."""
    with tempfile.TemporaryDirectory(prefix="tenure-callgrind-") as folder:
        output = pathlib.Path(folder) / "out"
        command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={output}", str(bench), workload,
                   "--divide", str(divisor)]
        environment = {**execution.clean_environment(), **variables, "LD_PRELOAD": allocator.path}
        done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=600)
        if done.returncode != 0:
            raise execution.Failure(f"{allocator.name} under valgrind: {reason(done.stderr)}")
        said = json.loads(done.stdout)
        if not execution.same_file(said["malloc_from"], allocator.path):
            raise execution.Failure(f"{allocator.name} did not engage under valgrind")
        return said["operations"], Profile(output.read_text())


def per_operation(bench, allocator, workload, variables):
    """(instructions inside the allocator, instructions of the whole program) for one operation."""
    short_operations, short = profile(bench, allocator, workload, SHORT, variables)
    long_operations, long = profile(bench, allocator, workload, LONG, variables)
    operations = long_operations - short_operations
    inside = (long.of(allocator.path) - short.of(allocator.path)) / operations
    return inside, (long.total - short.total) / operations


def variants(chosen):
    for one in chosen:
        yield one.name, one, {}
        if one.name == allocators.OURS:
            yield f"{one.name}, sampling off", one, SAMPLING_OFF


def measure(bench, chosen, workloads):
    """One line for each allocator; the cost of sampling from Tenure's two lines."""
    print("| allocator | " + " | ".join(workloads) + " |\n|---|" + "---|" * len(workloads))
    whole = {}
    for title, allocator, variables in variants(chosen):
        cells = []
        for workload in workloads:
            try:
                inside, whole[title, workload] = per_operation(bench, allocator, workload, variables)
                cells.append(f"{inside:.1f}")
            except (execution.Failure, subprocess.TimeoutExpired, ValueError) as failure:
                cells.append("FAILED")
                print(f"pair_instructions: {workload}: {failure}", file=sys.stderr)
        print(f"| {title} | " + " | ".join(cells) + " |", flush=True)
    for workload in workloads:
        on, off = (whole.get((title, workload)) for title in (allocators.OURS, f"{allocators.OURS}, sampling off"))
        if on and off:
            print(f"\nSampling on against off, {workload}, whole program: {on:.2f} against {off:.2f} instructions an "
                  f"operation, {100 * (on / off - 1):+.2f} %")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build/release")
    parser.add_argument("--tenure", help="Tenure's library (default lib/libtenure-malloc.so of the build folder)")
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=PATH")
    parser.add_argument("--peers", metavar="FILE", help="a file of NAME=PATH lines")
    parser.add_argument("--only", default="", metavar="NAMES")
    parser.add_argument("--workloads", default=WORKLOADS, metavar="NAMES")
    options = parser.parse_args()
    bench = options.build / "bin/tenure-bench-heap"
    peers = options.peer + (pathlib.Path(options.peers).read_text().split() if options.peers else [])
    try:
        if not shutil.which("valgrind"):
            raise allocators.Unusable("valgrind is not installed; see tools/packages/bench.txt")
        if not os.access(bench, os.X_OK):
            raise allocators.Unusable(f"{bench} does not exist; build the release preset first")
        found, missing = allocators.find(options.tenure or options.build / "lib/libtenure-malloc.so", peers)
        chosen = allocators.choose(found, [name for name in options.only.split(",") if name])
    except (allocators.Unusable, OSError) as sorry:
        print(f"pair_instructions: {sorry}", file=sys.stderr)
        return 2
    for line in missing if not options.only else []:
        print(f"left out: {line}", file=sys.stderr)
    measure(bench, chosen, options.workloads.split(","))
    return 0


if __name__ == "__main__":
    sys.exit(main())
