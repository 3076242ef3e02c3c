"""Running one workload under one allocator, and the proof that it was that allocator.

A sample is a dictionary: time_seconds (what the table shows), wall_seconds, cpu_seconds, peak_rss_bytes, page faults
and switches. Whatever goes wrong ends in a Failure with one sentence, which the report shows in the sample's place.
"""
import hashlib
import importlib
import json
import os
import pathlib
import pkgutil
import re
import shutil
import subprocess
import tempfile

import programs

TIMEOUT_SECONDS = 180
MALLOC_FAMILY = ("malloc", "calloc", "realloc", "free")


class Failure(Exception):
    """One sentence: what went wrong under this allocator."""


def clean_environment():
    """The user's own preloads and allocator settings have no part in the comparison."""
    unwanted = ("LD_PRELOAD", "LD_DEBUG", "LD_DEBUG_OUTPUT", "GLIBC_TUNABLES")
    prefixes = ("MALLOC_", "TENURE_", "MIMALLOC_", "TCMALLOC_")
    return {name: value for name, value in os.environ.items()
            if name not in unwanted and not name.startswith(prefixes)}


def same_file(one, other):
    return bool(one) and os.path.realpath(one) == os.path.realpath(other)


class Machine:
    """The two binaries of the build and a folder for inputs and results."""

    def __init__(self, build, divisor, clock):
        self.bench = pathlib.Path(build) / "bin/tenure-bench-heap"
        self.launcher = pathlib.Path(build) / "bin/tenure-bench-launch"
        self.divisor = divisor
        self.clock = clock
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="tenure-bench-"))

    def close(self):
        shutil.rmtree(self.folder, ignore_errors=True)

    def launch_line(self, result, allocator, command, repeat=1, variables=None):
        settings = [f"LD_PRELOAD={allocator.path}"] + [f"{key}={value}" for key, value in (variables or {}).items()]
        return [str(self.launcher), str(result), str(repeat)] + settings + ["--"] + command

    def run(self, allocator, command, repeat=1, variables=None):
        """Runs a command under an allocator; gives what it cost and what it printed."""
        result = self.folder / "result.json"
        result.unlink(missing_ok=True)
        line = self.launch_line(result, allocator, command, repeat, variables)
        try:
            done = subprocess.run(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=clean_environment(),
                                  timeout=TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired as late:
            raise Failure(f"not finished after {TIMEOUT_SECONDS} seconds") from late
        return read_cost(result, done.stderr), done.stdout


def read_cost(result, said=b""):
    try:
        cost = json.loads(result.read_text())
    except (OSError, ValueError) as broken:
        raise Failure("the launcher left no result") from broken
    last = said.decode(errors="replace").strip().splitlines()[-1:] or [""]
    if cost["signal"]:
        raise Failure(f"ended by signal {cost['signal']} {last[0]}".strip())
    if cost["exit_code"]:
        raise Failure(f"exit code {cost['exit_code']} {last[0]}".strip())
    return cost


class Synthetic:
    """A workload of tenure-bench-heap; it says itself where malloc came from."""

    kind = "synthetic"

    def __init__(self, machine, name, what):
        self.machine, self.name, self.what = machine, name, what

    def prove(self, allocator):
        pass  # Each sample carries its own proof.

    def command(self):
        """The command of one run and its variables."""
        return [str(self.machine.bench), self.name, "--divide", str(self.machine.divisor)], {}

    def sample(self, allocator):
        cost, printed = self.machine.run(allocator, self.command()[0])
        said = json.loads(printed)
        if not same_file(said["malloc_from"], allocator.path):
            raise Failure(f"not engaged: malloc came from {said['malloc_from'] or 'nowhere'}")
        said["time_seconds"] = said[f"{self.machine.clock}_seconds"]
        said["peak_rss_bytes"] = max(said["peak_rss_bytes"], cost["peak_rss_bytes"])
        return said


class Program:
    """A real program; the dynamic loader's own log says where its malloc came from."""

    kind = "program"

    def __init__(self, machine, module):
        self.machine, self.module = machine, module
        self.name, self.what = module.NAME, module.WHAT
        self.expected = None

    def missing(self):
        return [command for command in self.module.NEEDS if not shutil.which(command)]

    def input_folder(self, purpose):
        folder = self.machine.folder / f"{self.name}-{purpose}"
        folder.mkdir(exist_ok=True)
        return folder

    def prove(self, allocator):
        folder = self.input_folder("proof")
        launch = self.module.prepare(folder, 1000)
        log = folder / f"loader-{allocator.name}"
        variables = {**launch.variables, "LD_BIND_NOW": "1", "LD_DEBUG": "bindings",
                     "LD_DEBUG_OUTPUT": str(log)}
        self.machine.run(allocator, launch.command, 1, variables)
        logs = [path.read_text(errors="replace") for path in folder.glob(f"{log.name}.*")]
        check_bindings("\n".join(logs), allocator)
        for path in folder.glob(f"{log.name}.*"):
            path.unlink()

    def command(self):
        """The same; None of a server, which does nothing by itself."""
        if hasattr(self.module, "run"):
            return None
        launch = self.module.prepare(self.input_folder("input"), self.machine.divisor)
        return launch.command, launch.variables

    def sample(self, allocator):
        if hasattr(self.module, "run"):
            return self.sample_server(allocator)
        launch = self.module.prepare(self.input_folder("input"), self.machine.divisor)
        cost, printed = self.machine.run(allocator, launch.command, launch.repeat, launch.variables)
        self.compare(allocator, printed, launch.outputs)
        cost["time_seconds"] = cost[f"{self.machine.clock}_seconds"]
        return cost

    def sample_server(self, allocator):
        folder = self.input_folder("input")
        result = folder / "server.json"
        result.unlink(missing_ok=True)

        def start(command):
            line = self.machine.launch_line(result, allocator, command)
            return subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=clean_environment())

        try:
            seconds = self.module.run(folder, self.machine.divisor, start)
        except (RuntimeError, OSError, subprocess.SubprocessError) as broken:
            raise Failure(f"{broken}") from broken
        cost = read_cost(result)
        return {**cost, "time_seconds": cost["cpu_seconds"], "client_wall_seconds": seconds}

    def compare(self, allocator, printed, outputs):
        """The first to run sets what all must give, byte for byte."""
        digest = hashlib.sha256(printed)
        for path in outputs:
            digest.update(path.read_bytes())
        if self.expected is None:
            self.expected = (allocator.name, digest.hexdigest())
        elif self.expected[1] != digest.hexdigest():
            raise Failure(f"its output differs from the one under {self.expected[0]}")


def check_bindings(log, allocator):
    """Every binding of the malloc family, in every process, must lead to the allocator, save the allocator's own.

    An executable at a fixed address lends its own jump to malloc to everybody as malloc's address, so that function
    pointers compare equal: such a binding counts if the executable's jump leads to the allocator.
    """
    bound = re.findall(r"binding file (\S+) \[\d+\] to (\S+) \[\d+\]: normal symbol `(\w+)'", log)
    family = {(user, provider, symbol) for user, provider, symbol in bound if symbol in MALLOC_FAMILY}
    reaches = {(user, symbol) for user, provider, symbol in family if same_file(provider, allocator.path)}
    if not reaches:
        raise Failure("not engaged: no malloc of the program leads to the allocator")
    for user, provider, symbol in sorted(family):
        leads_there = same_file(provider, allocator.path) or (provider, symbol) in reaches
        if not leads_there and not same_file(user, allocator.path):
            raise Failure(f"not engaged: {user} takes {symbol} from {provider}")


def all_workloads(machine):
    listing = subprocess.run([str(machine.bench), "--list"], capture_output=True, text=True, check=True).stdout
    found = []
    for line in listing.splitlines():
        name, _, what = line.partition(" ")
        if "(not part of the matrix)" not in what:
            found.append(Synthetic(machine, name, what.strip()))
    for entry in sorted(pkgutil.iter_modules(programs.__path__), key=lambda one: one.name):
        found.append(Program(machine, importlib.import_module(f"programs.{entry.name}")))
    return found


def run_extra(machine, allocator, *words):
    """One of the workloads that are not part of the matrix; what it said, and what it cost."""
    cost, printed = machine.run(allocator, [str(machine.bench), *words])
    said = json.loads(printed)
    if not same_file(said["malloc_from"], allocator.path):
        raise Failure(f"not engaged: malloc came from {said['malloc_from']}")
    return {**cost, **said}
