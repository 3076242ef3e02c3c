#!/usr/bin/env python3
"""What one malloc and its free cost in a program that is recorded, in nanoseconds and in instructions.

    cmake --preset release && cmake --build build/release
    bench/instruments/recorded_pair.py [--build build/release] [--rounds 5] [--pairs 2000000] [--no-instructions]

pairs_at_depth.cc allocates and frees at a depth, from one call site or from eight that take turns, without frame
pointers. Shown is the processor time of the program for a pair, the median of the rounds, which are interleaved, with
the least and the greatest; and by callgrind the instructions for a pair, from two runs of different length. A thread
that finds its ring full sleeps until there is room, so every event is told; processor time does not count the sleep.
"""
import argparse
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tempfile

CASES = [(depth, sites, stacks) for stacks in ((), ("--free-stacks",)) for depth in (15, 20, 25) for sites in (1, 8)]
COUNTED_PAIRS = (100_000, 200_000)


class Recorded:
    def __init__(self, build, folder):
        self.program, self.tenure, self.folder = build / "bin/pairs_at_depth", build / "bin/tenure", folder
        self.environment = dict(os.environ, TENURE_LIBRARY=str(build / "lib/libtenure-malloc.so"))

    def run(self, stacks, *command):
        done = subprocess.run([self.tenure, "record", "-q", *stacks, "-o", self.folder / "run",
                               "--", *map(str, command)], env=self.environment, capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"recorded_pair: {' '.join(map(str, command))} ended with {done.returncode}: {done.stderr}")
        return done.stdout + done.stderr

    def nanoseconds(self, depth, sites, stacks, pairs):
        return float(re.match(r"([\d.]+) ns", self.run(stacks, self.program, depth, pairs, sites))[1])

    def instructions(self, depth, sites, stacks):
        def counted(pairs):
            # valgrind itself is static: the shell becomes it.
            tool = "valgrind --tool=callgrind --callgrind-out-file=/dev/null"
            command = f"exec {tool} {self.program} {depth} {pairs} {sites}"
            return int(re.search(r"Collected : (\d+)", self.run(stacks, "sh", "-c", command))[1])

        few, many = map(counted, COUNTED_PAIRS)
        return (many - few) / (COUNTED_PAIRS[1] - COUNTED_PAIRS[0])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path("build/release"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--pairs", type=int, default=2_000_000)
    parser.add_argument("--no-instructions", action="store_true")
    given = parser.parse_args()
    counts = not given.no_instructions and shutil.which("valgrind")
    with tempfile.TemporaryDirectory() as folder:
        recorded = Recorded(given.build.resolve(), pathlib.Path(folder))
        times = {case: [] for case in CASES}
        for _ in range(given.rounds):
            for case in CASES:
                times[case].append(recorded.nanoseconds(*case, given.pairs))
        print("| frames | call sites | stacks of frees | ns a pair | least to greatest | instructions a pair |")
        print("|---|---|---|---|---|---|")
        for case, taken in times.items():
            depth, sites, stacks = case
            instructions = f"{recorded.instructions(*case):.0f}" if counts else "-"
            print(f"| {depth} | {sites} | {'told' if stacks else '-'} | {statistics.median(taken):.0f} | "
                  f"{min(taken):.0f} to {max(taken):.0f} | {instructions} |", flush=True)


if __name__ == "__main__":
    main()
