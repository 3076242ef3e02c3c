#!/usr/bin/env python3
"""What recording every allocation costs, beside heaptrack: real programs plain, under `tenure record`, under heaptrack.

    cmake --preset release && cmake --build build/release
    bench/instruments/recording.py [--build build/release] [--programs sqlite,python] [--rounds 3]

The three ways of a program are interleaved, in another order each round; plain is the program on the C library's
heap, without any tool. Shown are medians. The time is wall time, of redis that which its client saw; it includes what
the tool does until the recording is complete. An event is an allocation or a free. What opens the recording is
`tenure report` and heaptrack_print, with the wall time and the greatest RSS of each.

heaptrack records one process, so of g++ it is cc1plus that all three ways run.
"""
import argparse
import datetime
import importlib
import json
import os
import pathlib
import platform
import re
import shlex
import statistics
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bench/heap"))

from harness import execution  # noqa: E402 (the path must be set first)

PROGRAMS = ["sqlite", "python", "compiler", "redis"]
WAYS = ("plain", "tenure", "heaptrack")


def measured(command, **more):
    """Wall seconds and greatest RSS of a command that must succeed, and what it printed."""
    before = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **more)
    said = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise execution.Failure(f"{shlex.join(map(str, command))}: exit code {process.returncode}: {said[-500:]}")
    return time.monotonic() - before, usage.ru_maxrss * 1024, said


def compiler_proper(command, folder):
    """The cc1plus that a g++ starts, in the driver's words."""
    said = subprocess.run([*command, "-###"], capture_output=True, text=True, check=True, cwd=folder).stderr
    return shlex.split(next(line for line in said.splitlines() if re.match(r" \S*cc1plus ", line)))


FILES = {"tenure": "run.tenure", "heaptrack": "run.heaptrack.zst", "massif": "run.massif", "dhat": "run.dhat.json"}


class Recorder:
    def __init__(self, build, folder, divisor=1):
        self.build, self.folder, self.divisor = build, folder, divisor
        self.environment = dict(execution.clean_environment(), TENURE_LIBRARY=str(build / "lib/libtenure-malloc.so"))

    def file(self, way):
        return self.folder / FILES[way]

    def wrapped(self, way, command):
        if way == "tenure":
            return [str(self.build / "bin/tenure"), "record", "-q", "-o", str(self.file(way)), "--", *command]
        if way == "heaptrack":
            return ["heaptrack", "-o", str(self.file(way)).removesuffix(".zst"), *command]
        if way in ("massif", "dhat"):
            return ["valgrind", f"--tool={way}", f"--{way}-out-file={self.file(way)}", *command]
        return command

    def run(self, module, way):
        """Seconds of one run."""
        if way != "plain":
            self.file(way).unlink(missing_ok=True)
        inputs = self.folder / module.NAME
        inputs.mkdir(exist_ok=True)
        if hasattr(module, "run"):
            return module.run(inputs, self.divisor, lambda command: subprocess.Popen(
                self.wrapped(way, command), env=self.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        launch = module.prepare(inputs, self.divisor)
        command = compiler_proper(launch.command, inputs) if module.NAME == "compiler" else launch.command
        return measured(self.wrapped(way, command), env={**self.environment, **launch.variables})[0]

    def opened(self, way):
        """What reading the recording costs, and the allocations and frees that it tells of."""
        if way == "tenure":
            seconds, peak, said = measured([str(self.build / "bin/tenure"), "report", "--json", str(self.file(way))],
                                           env=self.environment)
            processes = json.loads(said)["processes"]
            allocations = sum(one["allocated"]["blocks"] for one in processes)
            return {"seconds": seconds, "peak": peak, "allocations": allocations,
                    "events": allocations + sum(one["freed"]["blocks"] for one in processes)}
        if way == "massif":
            seconds, peak, _ = measured(["ms_print", str(self.file(way))])
            return {"seconds": seconds, "peak": peak}
        if way == "dhat":
            points = json.loads(self.file(way).read_text())["pps"]
            return {"allocations": sum(one["tbk"] for one in points)}
        seconds, peak, said = measured(["heaptrack_print", str(self.file(way))])
        return {"seconds": seconds, "peak": peak,
                "allocations": int(re.search(r"calls to allocation functions: (\d+)", said)[1])}


def mib(size):
    return f"{size / (1 << 20):.0f}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path("build/release"))
    parser.add_argument("--programs", default=",".join(PROGRAMS))
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    print(f"{datetime.date.today()}, {os.cpu_count()} cores, kernel {platform.release()}; medians of {options.rounds} "
          f"interleaved rounds; load {os.getloadavg()[0]:.1f} before.\n")
    print("| program | plain, s | tenure record | heaptrack | cost of Tenure's to heaptrack's | events, million "
          "| bytes an event | heaptrack's | opened in, s, MiB | heaptrack_print | allocations, the one and the other |")
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    for name in options.programs.split(","):
        module = importlib.import_module(f"programs.{name}")
        with tempfile.TemporaryDirectory(prefix="tenure-recording.") as folder:
            recorder = Recorder(options.build.resolve(), pathlib.Path(folder))
            seconds = {way: [] for way in WAYS}
            for turn in range(options.rounds):
                for way in WAYS[turn % 3:] + WAYS[:turn % 3]:
                    seconds[way].append(recorder.run(module, way))
            plain, ours, theirs = (statistics.median(seconds[way]) for way in WAYS)
            ours_opened, theirs_opened = recorder.opened("tenure"), recorder.opened("heaptrack")
            size = {way: recorder.file(way).stat().st_size for way in WAYS[1:]}
            events = ours_opened["events"]
            extra = f"{(ours - plain) / (theirs - plain):.2f}" if theirs > plain else ""
            print(f"| {name} | {plain:.2f} | {ours / plain:.2f} | {theirs / plain:.2f} | {extra} | {events / 1e6:.1f} "
                  f"| {size['tenure'] / events:.2f} | {size['heaptrack'] / events:.2f} "
                  f"| {ours_opened['seconds']:.1f}, {mib(ours_opened['peak'])} "
                  f"| {theirs_opened['seconds']:.1f}, {mib(theirs_opened['peak'])} "
                  f"| {ours_opened['allocations']}, {theirs_opened['allocations']} |", flush=True)


if __name__ == "__main__":
    main()
