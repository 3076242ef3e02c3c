#!/usr/bin/env python3
"""Runs the programs of gc_benchmark with each kind of memory, interleaved, and prints the best of the rounds.

usage: bench/gc/run.py [--build build/release] [--rounds 3] [--quick]
"""
import argparse
import pathlib
import subprocess

PROGRAMS = [("binary_trees", 21), ("gcbench", 18), ("lru", 1_000_000)]
QUICK = [("binary_trees", 16), ("gcbench", 16), ("lru", 100_000)]
MEMORY = ["managed", "unique", "shared"]


def figures(line):
    words = line.split()
    return dict(zip(words[3::2], words[4::2]))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", default="build/release")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    program = pathlib.Path(options.build) / "bin" / "gc_benchmark"
    best = {}
    tails = {}
    for _ in range(options.rounds):
        for name, size in QUICK if options.quick else PROGRAMS:
            for kind in MEMORY:
                lines = subprocess.run([program, name, kind, str(size)], check=True, capture_output=True,
                                       text=True).stdout.splitlines()
                got = figures(lines[-1])
                before = best.get((name, kind))
                if before is None or float(got["wall_s"]) < float(before["wall_s"]):
                    best[(name, kind)] = got
                    tails[(name, kind)] = lines[0] if len(lines) > 1 else ""
    for name, size in QUICK if options.quick else PROGRAMS:
        sums = {best[(name, kind)]["checksum"] for kind in MEMORY}
        if len(sums) != 1:
            raise SystemExit(f"{name}: checksums differ: {sums}")
        print(f"{name} {size}")
        for kind in MEMORY:
            row = best[(name, kind)]
            print(f"  {kind:8} wall {row['wall_s']:>7} s  processor {row['processor_s']:>7} s  "
                  f"peak {row['peak_mib']:>5} MiB  cycles {row['cycles']:>4}  {tails[(name, kind)]}")
    print(subprocess.run([program, "primitives"], check=True, capture_output=True, text=True).stdout, end="")


if __name__ == "__main__":
    main()
