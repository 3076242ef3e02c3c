"""The options that the commands of bench/heap have in common, and what follows from them."""
import pathlib
import sys

from . import allocators, execution

ROOT = pathlib.Path(__file__).resolve().parents[3]


def add_allocators(parser):
    parser.add_argument("--build", default=ROOT / "build/release", help="build folder (default build/release)")
    parser.add_argument("--tenure", help="Tenure's library (default lib/libtenure-malloc.so of the build folder)")
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=PATH", help="one more allocator's library")
    parser.add_argument("--peers", metavar="FILE", help="a file of NAME=PATH lines")
    parser.add_argument("--only", metavar="NAMES", help="of the allocators only these, separated by commas")


def find_allocators(options):
    """All that there are, and a sentence for each that is missing."""
    lines = pathlib.Path(options.peers).read_text().split() if options.peers else []
    library = options.tenure or pathlib.Path(options.build) / "lib/libtenure-malloc.so"
    return allocators.find(library, lines + options.peer)


def chosen(options, found):
    return allocators.choose(found, options.only.split(",") if options.only else [])


def open_machine(options, divisor=1, clock="wall"):
    machine = execution.Machine(options.build, divisor, clock)
    if not machine.bench.exists():
        machine.close()
        raise allocators.Unusable(f"{machine.bench} does not exist; build the release preset first")
    return machine


def run_on_machine(work, options, divisor=1, clock="wall"):
    """The exit code that work(machine) gives; 2, and a sentence, where something it needs cannot be used."""
    machine = None
    try:
        machine = open_machine(options, divisor, clock)
        return work(machine)
    except (allocators.Unusable, OSError) as sorry:
        print(f"bench/heap: {sorry}", file=sys.stderr)
        return 2
    finally:
        if machine:
            machine.close()
