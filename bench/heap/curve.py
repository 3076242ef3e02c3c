#!/usr/bin/env python3
"""What the matrix of run.py does not show of the heaps, beside each other: threads in number, traces of real programs
done again, what a burst leaves, and what is asked of the kernel.

  scaling    the same work divided among 1 to 64 threads: operations a second, and what of the memory is a thread's
  strands    1,000 threads that live at once, start and end 100 times: what stays resident when all is freed
  scattered  4 GiB freed in random order but for one block in a hundred: RSS for ten seconds
  replay     programs recorded once with `tenure record`, their allocations and frees done again
  system     page faults, system calls for memory and the time in which it is given back, of each workload of the matrix
"""
import argparse
import pathlib
import statistics
import sys

sys.dont_write_bytecode = True
ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from harness import allocators, commandline, execution, report, setting, system, traces  # noqa: E402 (path first)

THREADS = (1, 2, 4, 16, 64)
KIBIBYTE, MEBIBYTE = 1024, 1024 * 1024


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commandline.add_allocators(parser)
    parser.add_argument("--parts", default="scaling,strands,scattered,replay,system", metavar="NAMES",
                        help="which of them, separated by commas (default all)")
    parser.add_argument("--rounds", type=int, default=3, help="of scaling and replay, which are timed (default 3)")
    parser.add_argument("--workloads", metavar="NAMES", help="of system only these, separated by commas")
    parser.add_argument("--name", default="curve", help="name of the result file (default curve)")
    return parser.parse_args(arguments)


def attempt(title, one, action):
    """What the action gives; a sentence in its place where it fails."""
    try:
        return action()
    except execution.Failure as failure:
        print(f"{one.name} on {title}: {failure}", file=sys.stderr)
        return f"FAILED: {failure}"


def failed(values):
    return next((value for value in values if isinstance(value, str)), None)


def section(title, heads, rows):
    return [f"## {title}", ""] + report.table(heads, rows) + [""]


def rounds_of(options, chosen, action):
    """Results by allocator, the allocators in turns within each round."""
    taken = {one.name: [] for one in chosen}
    for _ in range(options.rounds):
        for one in chosen:
            if not failed(taken[one.name]):
                taken[one.name].append(action(one))
    return taken


def scaling(machine, options, chosen):
    rows = {one.name: [one.name] for one in chosen}
    for count in THREADS:
        taken = rounds_of(options, chosen, lambda one: attempt(
            "scaling", one, lambda: execution.run_extra(machine, one, "scaling", str(count))))
        for name, said in taken.items():
            if failed(said):
                rows[name].append(failed(said))
                continue
            speed = statistics.median(each["operations"] / each["wall_seconds"] for each in said) / 1e6
            memory = statistics.median(each["thread_bytes"] for each in said) / KIBIBYTE
            rows[name].append(f"{speed:.0f}, {memory:.0f}")
    heads = ["allocator"] + [f"{count} thread{'s' if count > 1 else ''}" for count in THREADS]
    return section("Scaling: million operations a second, and KiB a thread that holds 64 blocks of 16 to 511 bytes",
                   heads, list(rows.values()))


def strands(machine, _, chosen):
    rows = []
    for one in chosen:
        said = attempt("strands", one, lambda: execution.run_extra(machine, one, "strands"))
        if isinstance(said, str):
            rows.append([one.name, said, "", "", "", ""])
            continue
        by_round = [value / MEBIBYTE for value in said["rss_bytes_by_round"]]
        rows.append([one.name] + [f"{by_round[turn]:.1f}" for turn in (0, 9, 99)] +
                    [f"{by_round[99] - by_round[9]:+.1f}", f"{said['wall_seconds']:.1f}"])
    heads = ["allocator", "RSS, MiB, after round 1", "10", "100", "from 10 to 100", "seconds"]
    return section("Strands: 1,000 threads at once, 100 times, everything freed after each", heads, rows)


def scattered(machine, _, chosen):
    bursts = {one.name: attempt("scattered", one, lambda: execution.run_extra(machine, one, "scattered"))
              for one in chosen}
    return ["## Scattered: 4 GiB freed in random order but for 1 %, then sleep", ""] + report.burst_lines(bursts)[2:]


def replay(machine, options, chosen):
    rows = []
    for title, trace in traces.record_all(machine, options.build):
        taken = rounds_of(options, chosen, lambda one: attempt(
            title, one, lambda: execution.run_extra(machine, one, "replay", str(trace))))
        medians = {}
        for name, said in taken.items():
            if not failed(said):
                medians[name] = (statistics.median(each["cpu_seconds"] for each in said),
                                 statistics.median(each["peak_rss_bytes"] for each in said) / MEBIBYTE)
        peers = [pair for name, pair in medians.items() if name != allocators.OURS]
        if not peers:
            continue
        best = [min(pair[index] for pair in peers) for index in (0, 1)]
        row = [title, f"{best[0]:.3f} s, {best[1]:.1f} MiB"]
        for one in chosen:
            pair = medians.get(one.name)
            row.append(f"{pair[0] / best[0]:.2f}, {pair[1] / best[1]:.2f}" if pair else "FAILED")
        rows.append(row)
        trace.unlink()
    heads = ["program", "best peer in each"] + [one.name for one in chosen]
    return section("Replay: processor time and peak RSS to the best peer", heads, rows)


def system_calls(machine, options, chosen):
    if system.missing():
        raise allocators.Unusable("system needs strace; see tools/packages/bench.txt")
    wanted = options.workloads.split(",") if options.workloads else None
    rows = []
    for workload in execution.all_workloads(machine):
        if (wanted and workload.name not in wanted) or workload.command() is None:
            continue
        for one in chosen:
            said = attempt(workload.name, one, lambda: system.row(
                workload.sample(one)["minor_faults"], system.look(machine, one, *workload.command())))
            rows.append([workload.name, one.name] + ([said, "", "", ""] if isinstance(said, str) else said))
    heads = ["workload", "allocator", "page faults", "calls for memory", "of these madvise", "ms in madvise and munmap"]
    return section("System: what is asked of the kernel", heads, rows)


PARTS = {"scaling": scaling, "strands": strands, "scattered": scattered, "replay": replay, "system": system_calls}


def about(options):
    return (f"{setting.sentence(setting.facts())}; medians of {options.rounds} rounds where there are rounds; "
            f"`{setting.command_line('bench/heap/curve.py', sys.argv[1:])}`.")


def draw(machine, options):
    parts = options.parts.split(",")
    unknown = [name for name in parts if name not in PARTS]
    if unknown:
        raise allocators.Unusable(f"--parts names {', '.join(unknown)}; there are {', '.join(PARTS)}")
    found, _ = commandline.find_allocators(options)
    chosen = commandline.chosen(options, found)
    lines = ["# bench/heap, the rest of the curve", "", about(options), ""]
    for name in parts:
        lines += PARTS[name](machine, options, chosen)
    text = "\n".join(lines)
    (ROOT / "bench/results" / f"{options.name}.md").write_text(text)
    print(text, end="")
    return 0


def main():
    options = parse(sys.argv[1:])
    return commandline.run_on_machine(lambda machine: draw(machine, options), options)


if __name__ == "__main__":
    sys.exit(main())
