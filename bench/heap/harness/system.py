"""What a workload asks of the kernel for its memory: page faults, and the system calls with the time in them.

One run under strace for each, apart from those that are timed, since strace makes every call some ten times as dear:
its counts are exact, its times are what the kernel says it used, and good for comparing.
"""
import re
import shutil

from .execution import Failure

MEMORY_CALLS = ("mmap", "munmap", "mremap", "madvise", "mprotect", "brk")
# % time, seconds, usecs/call, calls, errors (may be empty), syscall
LINE = re.compile(r"^\s*[\d.]+\s+([\d.]+)\s+\d+\s+(\d+)\s+(?:\d+\s+)?(\w+)$")


def parse(summary):
    """strace's table as {call: (count, seconds)}."""
    found = {}
    for line in summary.splitlines():
        match = LINE.match(line)
        if match and match[3] != "total":
            found[match[3]] = (int(match[2]), float(match[1]))
    return found


def missing():
    return [] if shutil.which("strace") else ["strace"]


def look(machine, allocator, command, variables=None):
    """The calls of one run."""
    table = machine.folder / "strace.txt"
    table.unlink(missing_ok=True)
    tracer = ["strace", "-f", "-c", "-qq", "-o", str(table), "-e", "trace=" + ",".join(MEMORY_CALLS)]
    machine.run(allocator, tracer + command, 1, variables)
    if not table.exists():
        raise Failure("strace left no table")
    return parse(table.read_text())


def row(faults, calls):
    """Page faults, calls in all, those of madvise, and the milliseconds in which memory was given back."""
    returned = sum(calls.get(name, (0, 0.0))[1] for name in ("madvise", "munmap"))
    return [str(faults), str(sum(count for count, _ in calls.values())), str(calls.get("madvise", (0, 0.0))[0]),
            f"{returned * 1000:.1f}"]
