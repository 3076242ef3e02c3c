#!/usr/bin/env python3
"""What opening a long recording of a real program costs: sqlite3 recorded until it has told 100 million events.

    cmake --preset release && cmake --build build/release
    bench/instruments/opened.py [--build build/release] [--events 100] [--rounds 3] [--recording FILE]

The program is the database script of examples/sqlite_workload, with so many rows that it comes to the number of
events (in millions). What is opened: the report of the whole, the same of a moment in the middle (--at), leaks,
lifetimes and fragmentation of the whole, and the report of windows of a second (--window) that begin at as many places
as --windows says, as far from each other as from both ends. Shown are the wall time, a median of the rounds, and the
greatest RSS of each; of the windows the least, the greatest and the median. With --recording one that is there is
opened, and none is made.
"""
import argparse
import datetime
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bench/heap"))
sys.path.insert(0, str(ROOT / "bench/instruments"))

from harness import execution  # noqa: E402 (the path must be set first)
from programs import sqlite  # noqa: E402
from recording import measured, mib  # noqa: E402

SMALL_ROWS = 20_000
SECOND_NS = 1_000_000_000


class Tenure:
    def __init__(self, build, folder):
        self.command = str(build / "bin/tenure")
        self.folder = folder
        self.environment = dict(execution.clean_environment(), TENURE_LIBRARY=str(build / "lib/libtenure-malloc.so"))

    def record(self, rows):
        script = self.folder / "workload.sql"
        script.write_text(sqlite.SCRIPT.read_text().replace(sqlite.SCALE_LINE, f".param set :rows {rows}"))
        recording = self.folder / "run.tenure"
        measured([self.command, "record", "-q", "-o", str(recording), "--", "sqlite3", ":memory:", f".read {script}"],
                 env=self.environment)
        return recording

    def open(self, *words):
        return measured([self.command, *map(str, words)], env=self.environment)

    def open_often(self, rounds, *words):
        """The median of the seconds, and the greatest RSS."""
        runs = [self.open(*words) for _ in range(rounds)]
        return statistics.median(run[0] for run in runs), max(run[1] for run in runs)

    def figures(self, recording):
        process = max(json.loads(self.open("report", "--json", recording)[2])["processes"],
                      key=lambda one: one["events"])
        return process["events"], process["duration_ns"], process["peak"]["blocks"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path("build/release"))
    parser.add_argument("--events", type=float, default=100, help="millions")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--windows", type=int, default=13)
    parser.add_argument("--recording", type=pathlib.Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tenure-opened.") as folder:
        tenure = Tenure(options.build.resolve(), pathlib.Path(folder))
        recording = options.recording
        if recording is None:
            few, _, _ = tenure.figures(tenure.record(SMALL_ROWS))
            recording = tenure.record(int(options.events * 1e6 / few * SMALL_ROWS * 1.02))
        events, duration_ns, blocks = tenure.figures(recording)
        size = recording.stat().st_size
        print(f"{datetime.date.today()}, {os.cpu_count()} cores, kernel {platform.release()}; load "
              f"{os.getloadavg()[0]:.1f} before. {events / 1e6:.1f} million events in {size / 1e6:.0f} MB, "
              f"{size / events:.2f} bytes each; {duration_ns / 1e9:.0f} s, {blocks} blocks at the peak.\n")
        middle = duration_ns // 2
        print("| command | s | MiB |")
        print("|---|---|---|")
        for words in (("report",), ("report", "--at", f"{middle}ns"), ("leaks",), ("lifetimes",), ("fragmentation",),
                      ("fragmentation", "--at", f"{middle}ns")):
            seconds, peak = tenure.open_often(options.rounds, words[0], "--json", *words[1:], recording)
            shown = " ".join(words).replace(f"{middle}ns", "in the middle")
            print(f"| `{shown}` | {seconds:.2f} | {mib(peak)} |", flush=True)
        places = [duration_ns * (2 * i + 1) // (2 * options.windows) for i in range(options.windows)]
        opened = [tenure.open_often(options.rounds, "report", "--json", "--window", f"{at}ns..{at + SECOND_NS}ns",
                                    recording) for at in places]
        seconds, peaks = zip(*opened)
        print(f"| `report --window`, a second at {options.windows} places | {min(seconds):.2f} to {max(seconds):.2f}, "
              f"median {statistics.median(seconds):.2f} | {mib(min(peaks))} to {mib(max(peaks))} |", flush=True)


if __name__ == "__main__":
    sys.exit(main())
