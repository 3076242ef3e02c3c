#!/usr/bin/env python3
"""What recording costs beside heaptrack and valgrind's massif and DHAT, on cases that are small enough for these.

    cmake --preset release && cmake --build build/release
    bench/instruments/smaller.py [--build build/release] [--programs sqlite,python] [--divisor 20] [--rounds 3]

The programs of recording.py at a fraction of their size, a row a tool: wall time, a median of interleaved rounds, and
how many times that of the program alone; the file; what opens it, with wall time and greatest RSS; and how many
allocations the tool counts. massif counts none, and what opens DHAT's file is a page in a browser.
"""
import argparse
import datetime
import importlib
import os
import pathlib
import platform
import statistics
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from recording import Recorder, mib  # noqa: E402 (the path must be set first)

WAYS = {"plain": "", "tenure": "`tenure report`", "heaptrack": "`heaptrack_print`", "massif": "`ms_print`", "dhat": ""}


def row(recorder, name, way, seconds, plain):
    words = [name, way, f"{seconds:.2f}", f"{seconds / plain:.1f}", "", "", "", ""]
    if way != "plain":
        opened = recorder.opened(way)
        words[4] = f"{recorder.file(way).stat().st_size / 1000:.0f}"
        words[5] = WAYS[way]
        words[6] = f"{opened['seconds']:.2f}, {mib(opened['peak'])}" if "seconds" in opened else ""
        words[7] = str(opened.get("allocations", ""))
    return "| " + " | ".join(words) + " |"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path("build/release"))
    parser.add_argument("--programs", default="sqlite,python")
    parser.add_argument("--divisor", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    print(f"{datetime.date.today()}, {os.cpu_count()} cores, kernel {platform.release()}; medians of {options.rounds} "
          f"interleaved rounds; load {os.getloadavg()[0]:.1f} before.\n")
    print("| program | tool | s | times plain | file, KB | opened by | in s, MiB | allocations |")
    print("|---|---|---|---|---|---|---|---|")
    for name in options.programs.split(","):
        module = importlib.import_module(f"programs.{name}")
        with tempfile.TemporaryDirectory(prefix="tenure-smaller.") as folder:
            recorder = Recorder(options.build.resolve(), pathlib.Path(folder), options.divisor)
            ways = list(WAYS)
            seconds = {way: [] for way in ways}
            for turn in range(options.rounds):
                for way in ways[turn % len(ways):] + ways[:turn % len(ways)]:
                    seconds[way].append(recorder.run(module, way))
            plain = statistics.median(seconds["plain"])
            for way in ways:
                print(row(recorder, name, way, statistics.median(seconds[way]), plain), flush=True)


if __name__ == "__main__":
    sys.exit(main())
