#!/usr/bin/env python3
"""Keeps the instruction mix of fast paths as reviewed files in tests/golden.

Disassembles malloc, free, operator new and sized operator delete of the preload library (fast_path.x86_64.txt) or, with
--of gc, what the managed heap's headers compile to in a program (gc_fast_path.cc, gc_fast_path.x86_64.txt), and walks
the path of a hit: straight on, conditional jumps not taken, since the compiler was told to lay what is rare aside; an
unconditional jump is followed; ret ends the path. A call on the way, or a jump that leaves for an address nobody can
know, is an error: then there is no fast path. Where the hit takes a jump over a few instructions, those are counted,
too.
An instruction has one kind: what writes to memory is a store, also when it reads the same word first; a compare is one,
also of memory. What a hit of malloc executes is measured by bench/heap/pair_instructions.py, of the managed heap by
gc_benchmark primitives; this shows it in a review.

  tools/fast_path.py [--of gc] BINARY             compares with the golden file
  tools/fast_path.py [--of gc] BINARY --update    writes it
  tools/fast_path.py [--of gc] BINARY --show      prints the instructions, each with its kind
"""
import argparse
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]


class Heap:
    """malloc and free: the limit is for the first pair, the other is kept in view."""
    golden = "fast_path"
    functions = {"malloc": "malloc", "free": "free", "_Znwm": "operator new", "_ZdlPvm": "sized operator delete"}
    sums = {"malloc + free": ("malloc", "free"), "operator new + delete": ("_Znwm", "_ZdlPvm")}
    limited, limit = ("malloc", "free"), 32


class Gc:
    """An object of 32 bytes and the local that holds it; a local alone."""
    golden = "gc_fast_path"
    functions = {"gc_make_and_drop": "make<T>, dropped", "gc_pass": "local, dropped"}
    sums = {}
    limited, limit = ("gc_make_and_drop",), 44


SETS = {"heap": Heap, "gc": Gc}
KINDS = ["load", "store", "compare", "jump", "arithmetic", "other"]
PATH_LIMIT = 400

INSTRUCTION = re.compile(r"^\s*([0-9a-f]+):\t(\S+)(?:\s+(.*?))?\s*$")
PREFIXES = {"lock", "rep", "repz", "repnz", "notrack", "bnd", "data16", "cs", "ds", "es", "ss"}
ARITHMETIC = re.compile(r"^(add|sub|inc|dec|neg|not|and|or|xor|s[ah][lr]|ro[lr]|i?mul|i?div|lea|bs[fr]|[lt]zcnt|popcnt|"
                        r"adc|sbb|sh[lr]d|bt[src]?|bextr|bzhi|blsr|blsi|andn|rorx|s[ah]rx|shlx|xadd|cmpxchg)[bwlq]?$")


class Unclear(Exception):
    """One sentence: why no path of a hit could be found."""


def run(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def exported(library):
    """Addresses of the dynamic symbols."""
    found = {}
    for line in run("nm", "-D", "--defined-only", str(library)).splitlines():
        address, _, name = line.split()[:3]
        found[name.partition("@")[0]] = int(address, 16)
    return found


def disassemble(library):
    """Every instruction by its address, with the address of the one that follows."""
    listing = run("objdump", "-d", "--no-show-raw-insn", str(library))
    matches = [match for match in map(INSTRUCTION.match, listing.splitlines()) if match]
    rows = [(int(match[1], 16), *split_prefix(match[2], match[3] or "")) for match in matches]
    following = [row[0] for row in rows[1:]] + [None]
    return {row[0]: (row[1], row[2], after) for row, after in zip(rows, following)}


def split_prefix(name, operands):
    while name in PREFIXES and operands:
        name, _, operands = operands.partition(" ")
    return name, operands.partition("#")[0].strip()


def operand_list(operands):
    """Splits at commas outside parentheses."""
    return re.split(r",(?![^(]*\))", operands) if operands else []


def in_memory(operand):
    return "(" in operand or re.match(r"^(%[c-gs]s:)?-?0x[0-9a-f]+$", operand.strip()) is not None


def kind_of(name, operands):
    parts = operand_list(operands)
    if name.startswith("j") and name != "jmp":
        return "jump"
    if name.startswith(("cmp", "test")) and not name.startswith("cmpxchg"):
        return "compare"
    if name.startswith("push"):
        return "store"
    if name.startswith("pop") and name != "popcnt":
        return "load"
    if name.startswith("lea"):
        return "arithmetic"
    if name.startswith(("nop", "endbr", "jmp", "ret", "call", "prefetch")):
        return "other"
    if parts and in_memory(parts[-1]):
        return "store"
    if any(in_memory(part) for part in parts[:-1]):
        return "load"
    return "arithmetic" if ARITHMETIC.match(name) else "other"


def walk(code, start, title):
    """The instructions of a hit, in order."""
    path, address = [], start
    while len(path) < PATH_LIMIT:
        if address not in code:
            raise Unclear(f"the path of {title} leaves the code at {address:#x}" if address is not None
                          else f"the path of {title} runs off the end of the code")
        name, operands, after = code[address]
        path.append((address, name, operands, kind_of(name, operands)))
        if name.startswith("ret"):
            return path
        if name.startswith("call"):
            raise Unclear(f"the path of {title} calls {operands} at {address:#x}")
        if name == "jmp":
            target = re.match(r"^([0-9a-f]+)\b", operands)
            if not target:
                raise Unclear(f"the path of {title} jumps to {operands} at {address:#x}, which cannot be followed")
            after = int(target[1], 16)
        address = after
    raise Unclear(f"the path of {title} does not end within {PATH_LIMIT} instructions")


def compiler_of(library):
    text = run("readelf", "-p", ".comment", str(library))
    found = re.search(r"\]\s+(\S.*)", text)
    return found[1].strip() if found else "unknown"


def paths_of(library, of):
    symbols, code = exported(library), disassemble(library)
    missing = [name for name in of.functions if name not in symbols]
    if missing:
        raise Unclear(f"{library} does not define {', '.join(missing)}")
    return {name: walk(code, symbols[name], title) for name, title in of.functions.items()}


def count(path):
    return {kind: sum(1 for step in path if step[3] == kind) for kind in KINDS}


def render(paths, compiler, of):
    lines = ["# Instructions of a hit, by kind; written by tools/fast_path.py --update and reviewed like code.",
             f"# compiler: {compiler}",
             f"{'function':<24}" + "".join(f"{kind:>12}" for kind in KINDS) + f"{'total':>8}"]
    for name, title in of.functions.items():
        counts = count(paths[name])
        lines.append(f"{title:<24}" + "".join(f"{counts[kind]:>12}" for kind in KINDS) + f"{len(paths[name]):>8}")
    for title, names in of.sums.items():
        lines.append(f"{title:<24}{sum(len(paths[name]) for name in names):>80}")
    return "\n".join(lines) + "\n"


def show(paths, of):
    for name, title in of.functions.items():
        print(f"{title} ({len(paths[name])} instructions)")
        for address, mnemonic, operands, kind in paths[name]:
            print(f"  {address:8x}  {kind:<11} {mnemonic} {operands}")


def compare(paths, compiler, golden, of):
    """0 when all is well. Another compiler than the golden file's is held to the limit alone."""
    status = 0
    total = sum(len(paths[name]) for name in of.limited)
    if total > of.limit:
        print(f"{' and '.join(of.limited)} take {total} instructions together; the limit is {of.limit}")
        status = 1
    if not golden.exists():
        print(f"{golden} does not exist; write it with --update")
        return 1
    wanted, found = golden.read_text(), render(paths, compiler, of)
    if f"# compiler: {compiler}\n" not in wanted:
        print(f"built by another compiler ({compiler}) than the golden file: held to the limit of {of.limit} alone")
    elif wanted != found:
        print(f"the instruction mix differs from {golden}; if it is meant, run this with --update and say why")
        print("golden:\n" + wanted + "found:\n" + found)
        status = 1
    return status


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("library", type=pathlib.Path)
    parser.add_argument("--of", choices=SETS, default="heap")
    parser.add_argument("--golden", type=pathlib.Path)
    parser.add_argument("--update", action="store_true")
    parser.add_argument("--show", action="store_true")
    options = parser.parse_args()
    of = SETS[options.of]
    golden = options.golden or ROOT / f"tests/golden/{of.golden}.x86_64.txt"
    try:
        paths = paths_of(options.library, of)
        compiler = compiler_of(options.library)
    except (Unclear, subprocess.CalledProcessError, OSError) as sorry:
        print(f"fast_path: {sorry}", file=sys.stderr)
        return 1
    if options.show:
        show(paths, of)
        return 0
    if options.update:
        golden.write_text(render(paths, compiler, of))
        print(render(paths, compiler, of), end="")
        return 0
    return compare(paths, compiler, golden, of)


if __name__ == "__main__":
    sys.exit(main())
