#!/usr/bin/env python3
"""Instructions that an allocator executes for one malloc and free, slow paths included in their share.

Runs a workload of tenure-bench-heap twice under callgrind, with two lengths, and divides the difference by the
difference in operations: what starting costs drops out, and what happens every so often is spread over all. Counted is
what runs inside the allocator's library. Tenure's sampling is off there: how often it meets a thread depends on the
clock, which runs some fifty times too fast under callgrind; its share is what --sampling is for.

With --sampling it compares Tenure with sampling on and off instead, over the whole program. How often a thread is
sampled depends on the clock (option sample_spacing), and under callgrind the same work takes some fifty times as long:
so the spacing is made longer by as much, measured for each workload. The shorter run is long enough for the samples
that a thread may take in a row at first to lie behind it.

  bench/heap/pair_instructions.py [--sampling] [--workloads pair_16,pair_64] [--peer NAME=PATH]... [--only NAMES]
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
SAMPLING_SHORT, SAMPLING_LONG = 4, 2
WORKLOADS = "pair_16,pair_64,pair_256,pair_1k"
SAMPLING_WORKLOADS = WORKLOADS + ",batch_random,mixed_lives,trees,containers"
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
    """(what the run said, Profile) of one run under callgrind."""
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
        return said, Profile(output.read_text())


def per_operation(bench, allocator, workload, variables, divisors=(SHORT, LONG)):
    """(instructions inside the allocator, instructions of the whole program) for one operation."""
    short_said, short = profile(bench, allocator, workload, divisors[0], variables)
    long_said, long = profile(bench, allocator, workload, divisors[1], variables)
    operations = long_said["operations"] - short_said["operations"]
    inside = (long.of(allocator.path) - short.of(allocator.path)) / operations
    return inside, (long.total - short.total) / operations


def measure(bench, chosen, workloads):
    """One line for each allocator."""
    print("| allocator | " + " | ".join(workloads) + " |\n|---|" + "---|" * len(workloads))
    for allocator in chosen:
        cells = []
        for workload in workloads:
            try:
                cells.append(f"{per_operation(bench, allocator, workload, SAMPLING_OFF)[0]:.1f}")
            except (execution.Failure, subprocess.TimeoutExpired, ValueError) as failure:
                cells.append("FAILED")
                print(f"pair_instructions: {workload}: {failure}", file=sys.stderr)
        print(f"| {allocator.name} | " + " | ".join(cells) + " |", flush=True)


def spacing(bench, allocator, workload, default_us):
    """The sample spacing, in microseconds, that is to callgrind's clock what the default is to a plain run's."""
    command = [str(bench), workload, "--divide", str(SAMPLING_SHORT)]
    environment = {**execution.clean_environment(), "LD_PRELOAD": allocator.path}
    plain = json.loads(subprocess.run(command, capture_output=True, text=True, env=environment, check=True).stdout)
    slow, _ = profile(bench, allocator, workload, SAMPLING_SHORT, SAMPLING_OFF)
    return round(default_us * slow["wall_seconds"] / plain["wall_seconds"])


def measure_sampling(bench, tenure, workloads):
    """One line for each workload: instructions of the whole program for one operation, sampling off and on."""
    default_us = int(re.search(r"sample_spacing, integer, (\d+)", (ROOT / "src/core/base/options.def").read_text())[1])
    print("| workload | sampling off | on | cost | spacing under callgrind |\n|---|---|---|---|---|")
    failed = False
    for workload in workloads:
        try:
            spacing_us = spacing(bench, tenure, workload, default_us)
            off, on = (per_operation(bench, tenure, workload, variables, (SAMPLING_SHORT, SAMPLING_LONG))[1]
                       for variables in (SAMPLING_OFF, {"TENURE_SAMPLE_SPACING": str(spacing_us)}))
            print(f"| {workload} | {off:.2f} | {on:.2f} | {100 * (on / off - 1):+.2f} % | {spacing_us / 1000:.1f} ms |",
                  flush=True)
        except (execution.Failure, subprocess.SubprocessError, ValueError) as failure:
            failed = True
            print(f"pair_instructions: {workload}: {failure}", file=sys.stderr)
    return 1 if failed else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build/release")
    parser.add_argument("--tenure", help="Tenure's library (default lib/libtenure-malloc.so of the build folder)")
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=PATH")
    parser.add_argument("--peers", metavar="FILE", help="a file of NAME=PATH lines")
    parser.add_argument("--only", default="", metavar="NAMES")
    parser.add_argument("--workloads", metavar="NAMES")
    parser.add_argument("--sampling", action="store_true", help="Tenure alone, sampling off and on")
    options = parser.parse_args()
    bench = options.build / "bin/tenure-bench-heap"
    peers = options.peer + (pathlib.Path(options.peers).read_text().split() if options.peers else [])
    try:
        if not shutil.which("valgrind"):
            raise allocators.Unusable("valgrind is not installed; see tools/packages/bench.txt")
        if not os.access(bench, os.X_OK):
            raise allocators.Unusable(f"{bench} does not exist; build the release preset first")
        found, missing = allocators.find(options.tenure or options.build / "lib/libtenure-malloc.so", peers)
        only = [allocators.OURS] if options.sampling else [name for name in options.only.split(",") if name]
        chosen = allocators.choose(found, only)
    except (allocators.Unusable, OSError) as sorry:
        print(f"pair_instructions: {sorry}", file=sys.stderr)
        return 2
    for line in missing if not options.only else []:
        print(f"left out: {line}", file=sys.stderr)
    if options.sampling:
        return measure_sampling(bench, chosen[0], (options.workloads or SAMPLING_WORKLOADS).split(","))
    measure(bench, chosen, (options.workloads or WORKLOADS).split(","))
    return 0


if __name__ == "__main__":
    sys.exit(main())
