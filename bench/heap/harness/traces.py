"""Traces for the workload `replay`: programs of the matrix, each recorded once with Tenure's own recorder."""
import importlib
import pathlib
import shutil
import subprocess

from .execution import Failure, clean_environment

# One that serves, and one whose threads' times decide what it does, cannot be told by one run.
RECORDED = ("sqlite", "python", "lua", "ghostscript", "compiler")
# Of the work in the matrix: a recording of all of it would be some gigabytes.
DIVISOR = 8


def record(machine, build, module):
    """The trace of one program, as a path."""
    folder = machine.folder / f"{module.NAME}-trace"
    folder.mkdir(exist_ok=True)
    launch = module.prepare(folder, DIVISOR)
    tools = pathlib.Path(build) / "bin"
    recording, trace = folder / "run.tenure", folder / "run.trace"
    commands = [[str(tools / "tenure"), "record", "-q", "-o", str(recording), "--"] + launch.command,
                [str(tools / "tenure-bench-trace"), str(recording), str(trace)]]
    for command in commands:
        done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                              env={**clean_environment(), **launch.variables}, check=False)
        if done.returncode != 0:
            said = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["no word"]
            raise Failure(f"{module.NAME} could not be recorded: {said[0]}")
    recording.unlink()
    return trace


def record_all(machine, build):
    """(program, trace) for each that is installed, one after the other."""
    for name in RECORDED:
        module = importlib.import_module(f"programs.{name}")
        if all(shutil.which(command) for command in module.NEEDS):
            yield name, record(machine, build, module)
