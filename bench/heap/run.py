#!/usr/bin/env python3
"""Compares heaps, side by side and interleaved in one run: time and peak RSS of every workload under every allocator.

The measure is the oracle: on each workload the best of all peers, Tenure not among them, in time and separately in peak
RSS. In each round the workloads come in a new random order, and within a workload the allocators too, so that a machine
that changes its mind in the meantime changes it for all.
"""
import argparse
import datetime
import json
import os
import pathlib
import random
import sys

sys.dont_write_bytecode = True
ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from harness import allocators, commandline, execution, plot, report, setting  # noqa: E402 (the path must be set first)


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commandline.add_allocators(parser)
    parser.add_argument("--workloads", metavar="NAMES", help="only these, separated by commas")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="two rounds of a quarter of the work; not for documents")
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall", help="what counts as time (default wall)")
    parser.add_argument("--seed", type=int, default=1, help="of the order of the runs")
    parser.add_argument("--burst", action="store_true", help="also the burst: 1 GiB freed, then RSS for ten seconds")
    parser.add_argument("--from", dest="recorded", metavar="JSON", help="measures nothing: reports of a recorded run")
    parser.add_argument("--name", help="name of the result files (default heap- and the time)")
    parser.add_argument("--list", action="store_true", help="says which allocators and workloads there are")
    return parser.parse_args(arguments)


def pick_workloads(machine, names):
    every = execution.all_workloads(machine)
    unknown = sorted(set(names) - {one.name for one in every}) if names else []
    if unknown:
        raise allocators.Unusable(f"--workloads names {', '.join(unknown)}; --list says what there is")
    picked = [one for one in every if not names or one.name in names]
    for one in picked:
        missing = one.missing() if one.kind == "program" else []
        if missing:
            raise allocators.Unusable(f"{one.name} needs {', '.join(missing)}; see tools/packages/bench.txt")
    return picked


def attempt(action, failures, workload, allocator):
    try:
        return action(allocator)
    except execution.Failure as failure:
        failures[workload.name].setdefault(allocator.name, []).append(str(failure))
        print(f"{allocator.name} on {workload.name}: {failure}", file=sys.stderr)
        return None


def progress(text):
    if sys.stderr.isatty():
        print(f"\r{text}", end="", file=sys.stderr, flush=True)


def measure(workloads, chosen, rounds, seed):
    samples = {one.name: {} for one in workloads}
    failures = {one.name: {} for one in workloads}
    for workload in workloads:
        for allocator in chosen:
            attempt(workload.prove, failures, workload, allocator)
    order = random.Random(seed)
    for turn in range(rounds):
        for workload in order.sample(workloads, len(workloads)):
            progress(f"round {turn + 1} of {rounds}: {workload.name:24}")
            for allocator in order.sample(chosen, len(chosen)):
                if failures[workload.name].get(allocator.name):
                    continue  # Once failed is failed; the report says so.
                sample = attempt(workload.sample, failures, workload, allocator)
                if sample:
                    samples[workload.name].setdefault(allocator.name, []).append(sample)
    progress(" " * 48 + "\r")
    return samples, failures


def describe(options, rounds, load_before):
    return {
        **setting.facts(), "rounds": rounds, "quick": options.quick, "clock": options.clock, "seed": options.seed,
        "load_before": load_before, "load_after": os.getloadavg()[0],
        "command": setting.command_line("bench/heap/run.py", sys.argv[1:]),
    }


def sentence(about):
    quick = " QUICK: a quarter of the work, not for documents." if about["quick"] else ""
    return (f"{setting.sentence(about)}; medians of {about['rounds']} "
            f"interleaved rounds, {about['clock']} time; load {about['load_before']:.1f} before, "
            f"{about['load_after']:.1f} after; `{about.get('command', 'bench/heap/run.py')}`.{quick}")


def write_results(options, about, figures, paths, bursts):
    folder = ROOT / "bench/results"
    folder.mkdir(parents=True, exist_ok=True)
    name = options.name or "heap-" + datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    (folder / f"{name}.md").write_text(report.markdown(figures, sentence(about), bursts))
    summary = report.summary(figures, sentence(about), bursts)
    (folder / f"{name}.short.md").write_text(summary)
    (folder / f"{name}.svg").write_text(plot.svg(figures, setting.sentence(about)))
    (folder / f"{name}.json").write_text(json.dumps(
        {"about": about, "allocators": paths, "samples": figures.samples, "failures": figures.failures,
         "burst": bursts}, indent=1))
    print(summary, end="")
    print(f"Every figure: {folder / name}.md, .svg and .json; this: {name}.short.md", file=sys.stderr)


def list_all(machine, found, missing):
    for one in found:
        print(f"{one.name:20} {one.path}")
    for line in missing:
        print(f"missing: {line}")
    print()
    for one in execution.all_workloads(machine):
        print(f"{one.name:20} {one.what}")


def compare(options, machine, found, missing):
    chosen = commandline.chosen(options, found)
    for line in missing if not options.only else []:
        print(f"left out: {line}", file=sys.stderr)
    workloads = pick_workloads(machine, options.workloads.split(",") if options.workloads else [])
    rounds = 2 if options.quick else options.rounds
    load_before = os.getloadavg()[0]
    samples, failures = measure(workloads, chosen, rounds, options.seed)
    bursts = {}
    for one in chosen if options.burst else []:
        try:
            bursts[one.name] = execution.run_extra(machine, one, "burst")
        except execution.Failure as failure:
            bursts[one.name] = f"FAILED: {failure}"
    figures = report.Figures([one.name for one in workloads], [one.name for one in chosen], samples, failures)
    paths = {one.name: one.path for one in chosen}
    write_results(options, describe(options, rounds, load_before), figures, paths, bursts)
    return 1 if any(failures[name].get(allocators.OURS) for name in failures) else 0


def from_record(options):
    """A recorded run told again, perhaps by the other clock; a server's time stays what it was, its CPU time."""
    record = json.loads(pathlib.Path(options.recorded).read_text())
    for taken in (sample for row in record["samples"].values() for some in row.values() for sample in some):
        if "client_wall_seconds" not in taken:
            taken["time_seconds"] = taken[f"{options.clock}_seconds"]
    options.name = options.name or f"{pathlib.Path(options.recorded).stem}-{options.clock}"
    figures = report.Figures(list(record["samples"]), list(record["allocators"]), record["samples"], record["failures"])
    write_results(options, {**record["about"], "clock": options.clock}, figures, record["allocators"], record["burst"])
    return 0


def main():
    options = parse(sys.argv[1:])
    if options.recorded:
        return from_record(options)

    def work(machine):
        found, missing = commandline.find_allocators(options)
        if options.list:
            list_all(machine, found, missing)
            return 0
        return compare(options, machine, found, missing)

    return commandline.run_on_machine(work, options, 4 if options.quick else 1, options.clock)


if __name__ == "__main__":
    sys.exit(main())
