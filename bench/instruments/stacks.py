#!/usr/bin/env python3
"""A million stacks of real programs, captured by Tenure and by libunwind, compared frame by frame.

    cmake --preset release && cmake --build build/release
    bench/instruments/stacks.py [--build build/release] [--stacks 1000000] [--programs sqlite,python,compiler]

A library that is loaded into each program (tests/preload_unwind/unwind_comparison.cc) captures the stack of every n-th
allocation three times: by a whole walk, as for samples; by the recorder's walk, which remembers the last stack of the
thread; and with libunwind, step by step. n is chosen so that the programs share the stacks among them. Shown is how
many were compared and how many frames in them, how many stacks came to the first function of their thread, how many
ended where there is no unwind information (there libunwind guesses, and what it has more is no difference), and how
many differ.
"""
import argparse
import datetime
import importlib
import os
import pathlib
import platform
import shlex
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bench/heap"))

from harness import execution  # noqa: E402 (the path must be set first)

FIGURES = ("stacks", "frames", "complete", "no_rule", "guessed", "remembered", "mismatches")


class Comparison:
    def __init__(self, build, folder):
        self.library = build / "lib/libunwind_comparison.so"
        self.folder = folder

    def run(self, module, interval):
        """Sums over the processes of one run, and the first difference."""
        inputs = self.folder / module.NAME
        inputs.mkdir(exist_ok=True)
        counts = self.folder / "counts"
        counts.mkdir(exist_ok=True)
        for old in counts.iterdir():
            old.unlink()
        launch = module.prepare(inputs, 1)
        done = subprocess.run(launch.command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False,
                              env={**execution.clean_environment(), **launch.variables, "LD_PRELOAD": str(self.library),
                                   "UNWIND_COMPARISON_FOLDER": str(counts),
                                   "UNWIND_COMPARISON_INTERVAL": str(interval)})
        if done.returncode != 0:
            raise execution.Failure(f"{shlex.join(map(str, launch.command))}: {done.stderr[-500:]}")
        sums, difference = dict.fromkeys(FIGURES, 0), ""
        for file in counts.iterdir():
            for line in file.read_text().splitlines():
                words = line.split(" ", len(FIGURES))
                for name, value in zip(FIGURES, words):
                    sums[name] += int(value)
                difference = difference or words[len(FIGURES)].strip()
        return sums, difference


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path("build/release"))
    parser.add_argument("--programs", default="sqlite,python,compiler")
    parser.add_argument("--stacks", type=int, default=1_000_000)
    options = parser.parse_args()
    programs = options.programs.split(",")
    print(f"{datetime.date.today()}, kernel {platform.release()}, {os.uname().machine}\n")
    print("| program | every n-th allocation | stacks | frames | complete | without a rule | different |")
    print("|---|---|---|---|---|---|---|")
    total, first = dict.fromkeys(FIGURES, 0), ""
    with tempfile.TemporaryDirectory(prefix="tenure-stacks.") as folder:
        comparison = Comparison(options.build.resolve(), pathlib.Path(folder))
        modules = [importlib.import_module(f"programs.{name}") for name in programs]
        # How many allocations there are is seen from a few. Those that have fewest leave the rest to the others.
        counts = {module: comparison.run(module, 997)[0]["stacks"] * 997 for module in modules}
        left = options.stacks
        for place, module in enumerate(sorted(modules, key=counts.get)):
            interval = max(1, counts[module] * (len(modules) - place) // max(left, 1))
            sums, difference = comparison.run(module, interval)
            left -= sums["stacks"]
            for figure in FIGURES:
                total[figure] += sums[figure]
            first = first or difference
            print(f"| {module.NAME} | {interval} | {sums['stacks']} | {sums['frames']} | {sums['complete']} "
                  f"| {sums['no_rule']} | {sums['mismatches']} |", flush=True)
    print(f"| together | | {total['stacks']} | {total['frames']} | {total['complete']} | {total['no_rule']} "
          f"| {total['mismatches']} |")
    if first:
        print(f"\nThe first difference: {first}")
    return 1 if total["mismatches"] else 0


if __name__ == "__main__":
    sys.exit(main())
