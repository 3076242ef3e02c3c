#!/usr/bin/env python3
"""The same programs with the managed heap and its peers, interleaved in one run; medians.

    sudo apt-get install $(grep -v '^#' tools/packages/bench.txt)
    cmake --preset release && cmake --build build/release --target gc_benchmark
    bench/gc/run.py [--build build/release] [--programs binary_trees,lru] [--only managed,unique,java-zgc]

unique and shared are the controls without a collector (unique_ptr and raw links, shared_ptr). boehm is the Boehm
collector of libgc-dev, if gc_benchmark was built with it; go and java-* are there if their compilers are: Go with what
it has by itself, Java's collectors with the greatest heap that Java chooses by itself. All must give the same checksum.

Wall time is taken in the program, around the work: a virtual machine's start is not in it. Processor time and peak RSS
are the whole process's, with the virtual machine and its compiler. In each round programs and ways come in a new order.
"""
import argparse
import datetime
import os
import pathlib
import platform
import random
import shutil
import statistics
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
ROOT = pathlib.Path(__file__).resolve().parents[2]
HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT / "bench/heap"))

from harness import report  # noqa: E402 (the path must be set first)

PROGRAMS = {"binary_trees": 21, "gcbench": 18, "lru": 1_000_000}
QUICK = {"binary_trees": 16, "gcbench": 16, "lru": 100_000}
NATIVE = ["managed", "unique", "shared", "boehm"]
COLLECTORS = {"zgc": "UseZGC", "shenandoah": "UseShenandoahGC", "g1": "UseG1GC", "parallel": "UseParallelGC"}
NOT_BUILT = 3  # gc_benchmark's exit code


def processor_name():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def ways(build, folder):
    """The command of each way, without the program's size: name -> function(program, size) -> words."""
    benchmark = str((build / "bin/gc_benchmark").resolve())
    found = {}
    for kind in NATIVE:
        tried = subprocess.run([benchmark, "binary_trees", kind, "4"], stdout=subprocess.DEVNULL, check=False)
        if tried.returncode == NOT_BUILT:
            print(f"{kind}: gc_benchmark was built without it", file=sys.stderr)
        else:
            found[kind] = lambda program, size, kind=kind: [benchmark, program, kind, str(size)]
    if shutil.which("go"):
        subprocess.run(["go", "build", "-o", str(folder / "programs"), str(HERE / "peers/go/programs.go")], check=True,
                       env=dict(os.environ, GOCACHE=str(folder / "go-cache"), GO111MODULE="off"))
        found["go"] = lambda program, size: [str(folder / "programs"), program, str(size)]
    else:
        print("go: not installed", file=sys.stderr)
    if shutil.which("javac"):
        subprocess.run(["javac", "-d", str(folder), str(HERE / "peers/java/Programs.java")], check=True)
        for name, flag in COLLECTORS.items():
            found[f"java-{name}"] = lambda program, size, flag=flag: [
                "java", f"-XX:+{flag}", "-cp", str(folder), "Programs", program, str(size)]
    else:
        print("java: not installed", file=sys.stderr)
    return found


def measured(command):
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    lines = process.stdout.read().splitlines()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"{' '.join(command)}: exit code {process.returncode}")
    words = lines[-1].split()
    told = dict(zip(words[3::2], words[4::2]))
    figures = {"checksum": told["checksum"], "wall": float(told["wall_s"]), "cycles": int(told["cycles"]),
               "processor": usage.ru_utime + usage.ru_stime, "peak": usage.ru_maxrss / 1024}
    if len(lines) > 1:
        tail = lines[0].split()[1:]
        figures["tail"] = dict(zip(tail[::2], map(int, tail[1::2])))
    return figures


def table(program, size, samples):
    checksums = {sample["checksum"] for some in samples.values() for sample in some}
    if len(checksums) != 1:
        raise SystemExit(f"{program}: checksums differ: {sorted(checksums)}")
    heads = ["", "wall, s", "processor, s", "peak RSS, MiB", "cycles"]
    tails = sorted({key for some in samples.values() for key in some[0].get("tail", ())},
                   key=lambda key: float(key[1:]) if key[0] == "p" else 101)
    heads += [f"{key}, us" for key in tails]
    rows = []
    for way, some in samples.items():
        def middle(read, some=some):
            return statistics.median(read(sample) for sample in some)
        row = [way, f"{middle(lambda one: one['wall']):.2f}", f"{middle(lambda one: one['processor']):.2f}",
               f"{middle(lambda one: one['peak']):.0f}", f"{middle(lambda one: one['cycles']):.0f}"]
        row += [f"{middle(lambda one, key=key: one['tail'][key]) / 1000:.2f}" for key in tails]
        rows.append(row)
    return [f"`{program} {size}`:", "", *report.table(heads, rows), ""]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path("build/release"))
    parser.add_argument("--programs", default=",".join(PROGRAMS))
    parser.add_argument("--only", help="these ways alone, separated by commas")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1, help="of the order of the runs")
    parser.add_argument("--quick", action="store_true", help="less work; not for documents")
    options = parser.parse_args()
    sizes = QUICK if options.quick else PROGRAMS
    programs = options.programs.split(",")
    if unknown := set(programs) - set(sizes):
        parser.error(f"no program {', '.join(sorted(unknown))}; there are {', '.join(sizes)}")
    dice = random.Random(options.seed)
    with tempfile.TemporaryDirectory(prefix="tenure-bench-gc.") as folder:
        commands = ways(options.build, pathlib.Path(folder))
        if options.only:
            chosen = options.only.split(",")
            if unknown := set(chosen) - set(commands):
                parser.error(f"no {', '.join(sorted(unknown))}; there are {', '.join(commands)}")
            commands = {way: commands[way] for way in chosen}
        samples = {program: {way: [] for way in commands} for program in programs}
        for _ in range(options.rounds):
            for program in dice.sample(programs, len(programs)):
                for way in dice.sample(list(commands), len(commands)):
                    samples[program][way].append(measured(commands[way](program, sizes[program])))
    print(f"{datetime.date.today()}, {processor_name()}, {os.cpu_count()} cores, kernel {platform.release()}; "
          f"medians of {options.rounds} interleaved rounds.\n")
    for program in programs:
        print("\n".join(table(program, sizes[program], samples[program])))
    benchmark = options.build / "bin/gc_benchmark"
    print(subprocess.run([benchmark, "primitives"], check=True, capture_output=True, text=True).stdout, end="")


if __name__ == "__main__":
    main()
