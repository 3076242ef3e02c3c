#!/usr/bin/env python3
"""How the cost of the managed heap grows with what lives in it and with the threads that use it: tables and plots.

    cmake --preset release && cmake --build build/release --target gc_benchmark
    bench/gc/growth.py live [--most-mib 8192]
    bench/gc/growth.py threads [--live-mib 256]

Each row is one run of `gc_benchmark pauses`: objects of a live heap are replaced at random. What one replacement costs
its thread and the collector, the greatest call off the fast path, and the most memory; bars are of that column, on a
scale whose end is the greatest. Twice as much that lives may cost twice as much a cycle, and no more a replacement.
"""
import argparse
import datetime
import pathlib
import subprocess

LEAST_MIB, MOST_THREADS, BAR = 64, 16, 30
COLUMNS = {"program_ns": "program, ns", "collector_ns": "collector, ns", "max_us": "greatest call, us",
           "peak_mib": "peak RSS, MiB"}


def doubled(least, most):
    while least <= most:
        yield least
        least *= 2


def measured(benchmark, live_mib, threads, operations):
    command = [str(benchmark), "pauses", str(live_mib), str(threads), str(operations)]
    words = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[1:]
    return {name: float(value) for name, value in zip(words[::2], words[1::2])}


def table(first, rows):
    heads = [first, *COLUMNS.values(), "cycles"]
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for name, figures in rows:
        cells = [f"{figures[column]:.0f}" for column in COLUMNS]
        lines.append("| " + " | ".join([str(name), *cells, f"{figures['cycles']:.0f}"]) + " |")
    return lines


def plot(title, rows, column):
    greatest = max(figures[column] for _, figures in rows) or 1
    lines = [title]
    for name, figures in rows:
        bar = "#" * round(figures[column] / greatest * BAR)
        lines.append(f"{name:>8} {bar:<{BAR}} {figures[column]:.0f}")
    return lines


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("over", choices=("live", "threads"))
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path("build/release"))
    parser.add_argument("--most-mib", type=int, default=8192, help="of what lives; twice as much has to be there")
    parser.add_argument("--live-mib", type=int, default=256, help="beside the threads")
    parser.add_argument("--operations", type=int, default=4_000_000)
    options = parser.parse_args()
    benchmark = options.build / "bin/gc_benchmark"
    if options.over == "live":
        first = "live, MiB"
        points = [(live, live, 2) for live in doubled(LEAST_MIB, options.most_mib)]
    else:
        first = "threads"
        points = [(threads, options.live_mib, threads) for threads in doubled(1, MOST_THREADS)]
    rows = [(name, measured(benchmark, live, threads, options.operations)) for name, live, threads in points]
    beside = "2 threads" if options.over == "live" else f"{options.live_mib} MiB live"
    print(f"{datetime.date.today()}; {beside}, {options.operations} replacements a run, one run each.\n")
    print("\n".join(table(first, rows)) + "\n\n```text")
    for column, title in COLUMNS.items():
        print("\n".join(plot(title, rows, column)))
    print("```")


if __name__ == "__main__":
    main()
