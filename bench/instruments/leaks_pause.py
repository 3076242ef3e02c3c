#!/usr/bin/env python3
"""How long `tenure leaks PID` holds a process up, by the size of its heap, with huge pages and without.

    cmake --preset release && cmake --build build/release
    bench/instruments/leaks_pause.py [--build build/release] [--mib 256 1024 4096] [--threads 0 200] [--times 5]

Prints a table: the median of so many scans of one process; the least and the greatest pause beside it. Between these
scans are as many with --reachable, of which the last two columns are.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import time

PARTS = ("pause_ns", "stop_ns", "copy_ns", "scan_ns")


def huge_mib(pid):
    for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("AnonHugePages:"):
            return int(line.split()[1]) // 1024
    return 0


def scans(build, mib, threads, huge, times, settle):
    library = build / "lib/libtenure-malloc.so"
    environment = dict(os.environ, LD_PRELOAD=str(library), TENURE_HUGE_PAGES="1" if huge else "0")
    program = subprocess.Popen([build / "bin/tenure-bench-held-heap", str(mib), "1024", str(threads)],
                               env=environment, stdout=subprocess.PIPE)
    try:
        assert program.stdout.readline() == b"ready\n"
        time.sleep(settle)  # dense parts of the heap get their huge pages in the background
        found, telling = [], []
        for _ in range(times):
            for into, words in ((found, []), (telling, ["--reachable"])):
                command = [build / "bin/tenure", "leaks", "--json", "--wait", "60s", *words, str(program.pid)]
                done = subprocess.run(command, env=dict(os.environ, TENURE_LIBRARY=str(library)),
                                      capture_output=True, check=True)
                into.append(json.loads(done.stdout)["processes"][0]["scan"])
        return huge_mib(program.pid), found, telling
    finally:
        program.kill()
        program.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path("build/release"))
    parser.add_argument("--mib", type=int, nargs="+", default=[256, 1024, 4096])
    parser.add_argument("--threads", type=int, nargs="+", default=[0, 200])
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--settle", type=float, default=3)
    options = parser.parse_args()
    print("| heap, MiB | in huge pages | sleeping threads | held up, ms | threads stopped | copied | looked through "
          "| held up, with holders | looked through |")
    print("|---|---|---|---|---|---|---|---|---|")
    for huge in (True, False):
        for mib in options.mib:
            for threads in options.threads:
                in_huge, found, telling = scans(options.build, mib, threads, huge, options.times, options.settle)
                pause, stop, copy, scan = (statistics.median(one[part] for one in found) / 1e6 for part in PARTS)
                least, most = (pick(one["pause_ns"] for one in found) / 1e6 for pick in (min, max))
                pause_telling, scan_telling = (statistics.median(one[part] for one in telling) / 1e6
                                               for part in ("pause_ns", "scan_ns"))
                print(f"| {mib} | {in_huge} | {threads} | {pause:.1f} ({least:.1f} to {most:.1f}) | {stop:.1f} | "
                      f"{copy:.1f} | {scan:.0f} | {pause_telling:.1f} | {scan_telling:.0f} |", flush=True)


if __name__ == "__main__":
    main()
