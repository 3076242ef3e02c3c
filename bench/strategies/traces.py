#!/usr/bin/env python3
"""What the eviction policies hit on traces of real programs, and how near the adaptive one comes to the best of them.

Each trace is simulated by `tenure simulate` with every policy and with Belady's optimum at several sizes. Prints a
table in Markdown, as in docs/benchmarks/strategies.md: a row a trace and size, in percent of the requests. The traces
are files that the caller has, or folders of such, also compressed (.gz); a line of an integer a request is one format
of several (docs/reference/simulate.md).

  bench/strategies/traces.py [--sizes 0.5%,1%,2%,5%,10%,20%,35%,50%,75%] [--check] PATH_OF_tenure TRACE_OR_FOLDER...
"""
import argparse
import gzip
import json
import pathlib
import subprocess
import sys

SIZES = "0.5%,1%,2%,5%,10%,20%,35%,50%,75%"
# The adaptive one may be so many points behind the best.
ALLOWED = 1.0


def files_of(paths):
    """The files that are named, and of folders those that can be traces."""
    for path in map(pathlib.Path, paths):
        if path.is_dir():
            yield from sorted(one for one in path.iterdir() if one.is_file() and one.suffix.lower() != ".md")
        else:
            yield path


def name_of(path):
    name = path.name
    for suffix in (".gz", ".trace"):
        name = name.removesuffix(suffix)
    return name


def simulate(program, path, sizes):
    """Of each size, in order: the number of objects, and by policy the percentage that was hit."""
    data = path.read_bytes()
    if path.suffix == ".gz":
        data = gzip.decompress(data)
    command = [program, "simulate", "--json", "--size", sizes, "-"]
    done = subprocess.run(command, check=True, input=data, stdout=subprocess.PIPE)
    told = json.loads(done.stdout)
    by_size = {}
    for one in told["results"]:
        by_size.setdefault(one["size"], {})[one["policy"]] = 100 * one["hit_ratio"]
    return told["trace"], by_size


def best_of(percents):
    """The policy that hits most, the adaptive one and the optimum apart."""
    return max((name for name in percents if name not in ("adaptive", "opt")), key=lambda name: percents[name])


def behind(percents):
    return percents["adaptive"] - percents[best_of(percents)]


def table(traces):
    """`traces`: names with what simulate() gives. Lines of Markdown."""
    policies = list(next(iter(next(iter(traces.values()))[1].values())))
    fixed = [name for name in policies if name not in ("adaptive", "opt")]
    yield "| trace | objects | " + " | ".join(fixed) + " | opt | adaptive | against the best |"
    yield "|---|" + "---|" * (len(fixed) + 4)
    for name, (_, by_size) in traces.items():
        for size, percents in by_size.items():
            best = best_of(percents)
            cells = [f"**{percents[one]:.1f}**" if one == best else f"{percents[one]:.1f}" for one in fixed]
            cells += [f"{percents['opt']:.1f}", f"{percents['adaptive']:.1f}", f"{behind(percents):+.2f}"]
            yield f"| {name} | {size:,} | " + " | ".join(cells) + " |"


def verdict(traces):
    """The sentence below the table, and whether the adaptive one is nowhere too far behind."""
    rows = [(behind(percents), name, size) for name, (_, by_size) in traces.items()
            for size, percents in by_size.items()]
    lost = [row for row in rows if row[0] < -ALLOWED]
    worst = min(rows)
    text = (f"The adaptive one is at most {ALLOWED:g} point behind the best in {len(rows) - len(lost)} of {len(rows)}; "
            f"the worst is {worst[0]:+.2f} ({worst[1]}, {worst[2]:,} objects).")
    return text, not lost


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default=SIZES)
    parser.add_argument("--check", action="store_true", help="end with 1 where it is further behind than a point")
    parser.add_argument("program")
    parser.add_argument("traces", nargs="+")
    given = parser.parse_args()
    traces = {name_of(path): simulate(given.program, path, given.sizes) for path in files_of(given.traces)}
    if not traces:
        sys.exit("There is no trace in what was named.")
    for name, (about, _) in traces.items():
        print(f"- {name}: {about['requests']:,} requests for {about['distinct_objects']:,} objects")
    print()
    print("\n".join(table(traces)))
    text, is_kept = verdict(traces)
    print(f"\n{text}")
    return 1 if given.check and not is_kept else 0


if __name__ == "__main__":
    sys.exit(main())
