#!/usr/bin/env python3
"""What `tenure run` costs a program: real programs under `tenure run` and on the bare heap.

Both halves of a pair run on the same libtenure-malloc.so, which samples in both; what differs is that somebody
watches. Two measures:

time          Interleaved pairs. Counted is the program's own processor time, with that of the children it waited for,
              as the kernel tells it to their parent. A pair gives one ratio; the table has the median of the ratios and
              the interval that holds it with 95 % confidence whatever their distribution (order statistics). Other work
              on the machine can only add time, so the fastest third of the one against the fastest third of the other
              is the steadier figure, in a column of its own; so are wall time and the command's own processor time.
instructions  Callgrind, all processes, on a part of the input: with a session folder in the environment, which is all
              that the program sees of `tenure run`, and without one. Exact but for the sampler's dice; the kernel's
              work is not in it.

  bench/run/run.py                                          pairs of all programs
  bench/run/run.py --programs sqlite,redis --pairs 41
  bench/run/run.py --instructions --programs sqlite,lua
  bench/run/run.py --from A.json B.json                     the table of runs that are there, put together
"""
import argparse
import datetime
import importlib
import json
import math
import os
import pathlib
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bench/heap"))

import run as heap_bench  # noqa: E402 (the path must be set first)
from harness import allocators, execution, report  # noqa: E402

PROGRAMS = ["sqlite", "python", "compiler", "redis", "lua", "ghostscript", "node"]
UNCOUNTED = {"redis": "a server", "node": "valgrind does not run it"}
CONFIDENCE = 0.95
COUNTED_DIVISOR = 6  # Of the input under callgrind, which is some fifty times slower.
COUNTED_RUNS = 3


class Pairs:
    """Runs one program in both ways; the first to run sets the output that all must give."""

    def __init__(self, machine, command, library, name):
        self.machine, self.command = machine, command
        self.library = allocators.Allocator("bare", str(library))
        self.program = execution.Program(machine, importlib.import_module(f"programs.{name}"))
        self.report = machine.folder / f"{name}-report.json"

    def bare(self):
        cost = self.program.sample(self.library)
        return {"cpu_seconds": cost["cpu_seconds"], "wall_seconds": cost["wall_seconds"]}

    def command_line(self, command):
        own = [str(self.command), "run", "--json", "-o", str(self.report), "--preload", self.library.path, "--"]
        return own + command

    def watched(self):
        self.report.unlink(missing_ok=True)
        module = self.program.module
        if hasattr(module, "run"):
            self.serve(module)
        else:
            launch = module.prepare(self.program.input_folder("input"), self.machine.divisor)
            done = subprocess.run(self.command_line(launch.command), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                  env={**execution.clean_environment(), **launch.variables},
                                  timeout=execution.TIMEOUT_SECONDS)
            if done.returncode != 0:
                raise execution.Failure(f"{self.program.name} under tenure run: exit code {done.returncode}")
            self.program.compare(self.library, done.stdout, launch.outputs)
        return self.cost()

    def serve(self, module):
        def start(command):
            return subprocess.Popen(self.command_line(command), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                    env=execution.clean_environment())
        try:
            module.run(self.program.input_folder("input"), self.machine.divisor, start)
        except (RuntimeError, OSError, subprocess.SubprocessError) as broken:
            raise execution.Failure(f"{self.program.name} under tenure run: {broken}") from broken

    def cost(self):
        told = json.loads(self.report.read_text())
        if not told["run"]["engaged"] or told["run"]["exit_code"] != 0:
            raise execution.Failure(f"{self.program.name}: tenure run did not engage, or the program failed")
        return {"cpu_seconds": told["run"]["processor_ns"] / 1e9, "wall_seconds": told["run"]["duration_ns"] / 1e9,
                "command_cpu_seconds": told["collector"]["processor_ns"] / 1e9}

    def pair(self, watched_first):
        if watched_first:
            watched = self.watched()
            return {"bare": self.bare(), "watched": watched}
        bare = self.bare()
        return {"bare": bare, "watched": self.watched()}


def count(machine, name, library, session):
    """Instructions of the program and the programs it starts; of callgrind's own start none."""
    module = importlib.import_module(f"programs.{name}")
    launch = module.prepare(machine.folder, COUNTED_DIVISOR)
    with tempfile.TemporaryDirectory(prefix="tenure.", dir="/dev/shm") as folder:
        output = pathlib.Path(folder) / "callgrind"
        variables = {**launch.variables, "LD_PRELOAD": str(library)}
        if session:
            variables["TENURE_SESSION"] = folder
        done = subprocess.run(["valgrind", "--tool=callgrind", "--trace-children=yes",
                               f"--callgrind-out-file={output}.%p", *launch.command], stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE, env={**execution.clean_environment(), **variables})
        if done.returncode != 0:
            raise execution.Failure(f"{name} under valgrind: exit code {done.returncode}")
        regions = len(list(pathlib.Path(folder).glob("*.region")))
        if (regions != 0) != session:
            raise execution.Failure(f"{name} under valgrind left {regions} regions")
        totals = [re.search(r"^(?:summary|totals): (\d+)", path.read_text(), re.MULTILINE)
                  for path in pathlib.Path(folder).glob("callgrind.*")]
        return sum(int(total[1]) for total in totals)


def count_all(machine, options, names):
    counts = {}
    for name in names:
        if name in UNCOUNTED:
            continue
        counts[name] = {"bare": [], "watched": []}
        for turn in range(COUNTED_RUNS):
            heap_bench.progress(f"count {turn + 1} of {COUNTED_RUNS}: {name:24}")
            for half in ("bare", "watched"):
                counts[name][half].append(count(machine, name, options.library, half == "watched"))
    heap_bench.progress(" " * 48 + "\r")
    return counts


def counted_row(name, counts):
    """The medians, and beside them how far the bare runs lie apart: programs draw random numbers too."""
    bare, watched = statistics.median(counts["bare"]), statistics.median(counts["watched"])
    return [name, f"{bare / 1e6:.0f} M", percent(watched / bare),
            f"{100 * (max(counts['bare']) - min(counts['bare'])) / bare:.2f} %"]


def counted_table(counts):
    rows = [counted_row(name, counts[name]) for name in sorted(counts)]
    left_out = ", ".join(f"{name} ({why})" for name, why in UNCOUNTED.items())
    heads = ["program", "instructions, bare", "watched", "bare runs lie apart"]
    return report.table(heads, rows) + ["", f"Medians of {COUNTED_RUNS} runs each. Not counted: {left_out}."]


def measure(machine, options, names):
    programs = {name: Pairs(machine, options.command, options.library, name) for name in names}
    pairs = {name: [] for name in names}
    order = random.Random(options.seed)
    first = {name: order.randrange(2) for name in names}
    for one in programs.values():
        one.pair(False)  # Caches warm, engagement and output proved; not counted.
    for turn in range(options.pairs):
        for name in order.sample(names, len(names)):
            heap_bench.progress(f"pair {turn + 1} of {options.pairs}: {name:24}")
            # Who goes first alternates.
            pairs[name].append(programs[name].pair((turn + first[name]) % 2 == 0))
    heap_bench.progress(" " * 48 + "\r")
    return pairs


def interval_of_median(values):
    """The narrowest pair of order statistics that holds the median with CONFIDENCE; the extremes of few values."""
    ordered, count = sorted(values), len(values)
    rank = 0
    while rank < count // 2 and 2 * sum(math.comb(count, i) for i in range(rank + 1)) <= (1 - CONFIDENCE) * 2**count:
        rank += 1
    rank = max(rank, 1)
    return ordered[rank - 1], ordered[count - rank]


def ratios(pairs, what):
    return [one["watched"][what] / one["bare"][what] for one in pairs]


def percent(ratio):
    return f"{100 * (ratio - 1):+.2f} %"


def fastest_third(pairs, half):
    ordered = sorted(one[half]["cpu_seconds"] for one in pairs)
    return statistics.fmean(ordered[:max(1, len(ordered) // 3)])


def row(name, pairs):
    cpu = ratios(pairs, "cpu_seconds")
    low, high = interval_of_median(cpu)
    beside = statistics.median(one["watched"]["command_cpu_seconds"] / one["watched"]["wall_seconds"] for one in pairs)
    return [name, str(len(pairs)), f"{statistics.median(one['bare']['cpu_seconds'] for one in pairs):.3f}",
            percent(statistics.median(cpu)), f"{percent(low)} to {percent(high)}",
            percent(fastest_third(pairs, "watched") / fastest_third(pairs, "bare")),
            percent(statistics.median(ratios(pairs, "wall_seconds"))), f"{100 * beside:.2f} %"]


def geometric_mean(values):
    return math.exp(statistics.fmean(math.log(value) for value in values))


def table(pairs):
    heads = ["program", "pairs", "bare, CPU seconds", "CPU time, median of the ratios", "95 % interval",
             "fastest third", "wall time", "the command beside it, of the wall time"]
    lines = report.table(heads, [row(name, pairs[name]) for name in sorted(pairs)])
    medians = [statistics.median(ratios(one, "cpu_seconds")) for one in pairs.values()]
    thirds = [fastest_third(one, "watched") / fastest_third(one, "bare") for one in pairs.values()]
    return lines + ["", f"Geometric means in CPU time: of the medians {percent(geometric_mean(medians))}, "
                        f"of the fastest thirds {percent(geometric_mean(thirds))}."]


def describe(options, load_before):
    settings = argparse.Namespace(quick=False, clock="cpu", seed=options.seed)
    about = heap_bench.describe(settings, options.pairs, load_before)
    return (f"{about['date']}, commit {about['commit']}, {about['processor']}, {about['cores']} cores, kernel "
            f"{about['kernel']}; load {about['load_before']:.1f} before, {about['load_after']:.1f} after.")


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build/release")
    parser.add_argument("--programs", default=",".join(PROGRAMS), metavar="NAMES")
    parser.add_argument("--pairs", type=int, default=15)
    parser.add_argument("--instructions", action="store_true", help="counts instructions instead of time")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--name", help="name of the result files (default run- and the time)")
    parser.add_argument("--from", dest="recorded", nargs="+", metavar="JSON", help="measures nothing")
    options = parser.parse_args()
    options.command = options.build / "bin/tenure"
    options.library = options.build / "lib/libtenure-malloc.so"
    return options


def write_results(options, record):
    folder = ROOT / "bench/results"
    folder.mkdir(parents=True, exist_ok=True)
    name = options.name or "run-" + datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    parts = [record["about"]]
    parts += [table(record["pairs"])] if record["pairs"] else []
    parts += [counted_table(record["instructions"])] if record["instructions"] else []
    text = "\n\n".join("\n".join(part) for part in parts) + "\n"
    (folder / f"{name}.md").write_text(text)
    (folder / f"{name}.json").write_text(json.dumps(record, indent=1) + "\n")
    print(text, end="")


def from_records(options):
    """Pairs of one program from several runs are put together; of instructions the last word counts."""
    whole = {"about": [], "pairs": {}, "instructions": {}}
    for path in options.recorded:
        record = json.loads(pathlib.Path(path).read_text())
        for name, pairs in record["pairs"].items():
            whole["pairs"].setdefault(name, []).extend(pairs)
        whole["instructions"].update(record["instructions"])
        whole["about"] += record["about"]
    # Runs of one day on one commit and machine differ by their load only.
    whole["about"] = sorted(set(line.rpartition("; load")[0] + "." for line in whole["about"]))
    write_results(options, whole)
    return 0


def main():
    options = parse()
    if options.recorded:
        return from_records(options)
    names = options.programs.split(",")
    machine = execution.Machine(options.build, 1, "cpu")
    try:
        unknown = sorted(set(names) - set(PROGRAMS))
        if unknown:
            raise allocators.Unusable(f"--programs names {', '.join(unknown)}; there are {', '.join(PROGRAMS)}")
        if options.pairs < 1:
            raise allocators.Unusable("--pairs wants one at least")
        for needed in (options.command, options.library, machine.launcher):
            if not needed.exists():
                raise allocators.Unusable(f"{needed} does not exist; build the release preset first")
        heap_bench.pick_workloads(machine, names)
        if options.instructions and not shutil.which("valgrind"):
            raise allocators.Unusable("valgrind is not installed; see tools/packages/bench.txt")
        load_before = os.getloadavg()[0]
        pairs = {} if options.instructions else measure(machine, options, names)
        counts = count_all(machine, options, names) if options.instructions else {}
        write_results(options, {"about": [describe(options, load_before)], "pairs": pairs, "instructions": counts})
        return 0
    except (allocators.Unusable, execution.Failure, OSError) as sorry:
        print(f"bench/run: {sorry}", file=sys.stderr)
        return 2
    finally:
        machine.close()


if __name__ == "__main__":
    sys.exit(main())
