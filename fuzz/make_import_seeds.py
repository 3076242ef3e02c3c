#!/usr/bin/env python3
"""Writes the seed corpus of import_fuzz: make_import_seeds.py TARGET FOLDER.

Small files as heaptrack writes them, raw and not, and pprof profiles, whole, packed, cut off, and with bytes changed.
"""

import gzip
import pathlib
import random
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests/support"))

import make_seeds  # noqa: E402 (the path must be set first)
from protobuf_bytes import field, varint  # noqa: E402


def heaptrack(generator, version):
    texts, places, traces, kinds = 1, 0, 0, 0
    yield f"v 10400 {version:x}"
    yield "X app --fast"
    for _ in range(generator.randrange(20, 400)):
        what = generator.choice("siitta++++++---c")
        if what == "s":
            name = generator.choice(["main", "load(int)", "/lib/libc.so.6", "a.cc"])
            yield f"s {len(name):x} {name}" if version >= 3 else f"s {name}"
            texts += 1
        elif what == "i":
            numbers = [generator.randrange(texts) for _ in range(generator.choice([0, 1, 3, 6]))]
            numbers = [generator.randrange(1 << 40), generator.randrange(texts), *numbers]
            yield "i " + " ".join(f"{number:x}" for number in numbers)
            places += 1
        elif what == "t" and places:
            yield f"t {generator.randrange(places) + 1:x} {generator.randrange(traces + 1):x}"
            traces += 1
        elif what == "a":
            yield f"a {generator.randrange(1 << 20):x} {generator.randrange(traces + 1):x}"
            kinds += 1
        elif what in "+-" and kinds:
            yield f"{what} {generator.randrange(kinds):x}"
        elif what == "c":
            yield f"c {generator.randrange(5000):x}"


def raw_heaptrack(generator, version):
    def named(text):
        return f"{len(text):x} {text}" if version >= 3 else text

    traces, blocks = 0, []
    yield f"v 10400 {version:x}"
    yield f"x {named('/bin/app')}"
    yield "X app --fast"
    yield "I 1000 fffff"
    for _ in range(generator.randrange(20, 400)):
        what = generator.choice("mmtttt++++++---c")
        if what == "m":
            file = generator.choice(["-", "x", "/no/such/libplug.so", "linux-vdso.so.1"])
            numbers = [generator.randrange(1 << 40)] + [generator.randrange(1 << 16) for _ in range(4)]
            yield f"m {named(file)}" + ("" if file == "-" else "".join(f" {number:x}" for number in numbers))
        elif what == "t":
            yield f"t {generator.randrange(1 << 40):x} {generator.randrange(traces + 1):x}"
            traces += 1
        elif what == "+":
            blocks.append(generator.randrange(1 << 12) * 16)
            yield f"+ {generator.randrange(1 << 20):x} {generator.randrange(traces + 1):x} {blocks[-1]:x}"
        elif what == "-" and blocks:
            yield f"- {generator.choice(blocks):x}"
        elif what == "c":
            yield f"c {generator.randrange(5000):x}"


def pprof(generator):
    texts = [b"", b"inuse_objects", b"inuse_space", b"alloc_objects", b"alloc_space", b"main", b"a.cc", b"/bin/app"]
    types = generator.choice([(1, 2), (3, 4, 1, 2), (1, 2, 3, 4)])
    parts = [field(1, field(1, name) + field(2, 0)) for name in types]
    places = generator.randrange(1, 9)
    parts.append(field(3, field(1, 1) + field(2, 4096) + field(5, 7)))
    for place in range(1, places + 1):
        parts.append(field(5, field(1, place) + field(2, generator.randrange(8)) + field(4, generator.randrange(8))))
        lines = b"".join(field(4, field(1, generator.randrange(places + 2)) + field(2, generator.randrange(99)))
                         for _ in range(generator.randrange(4)))
        parts.append(field(4, field(1, place) + field(2, generator.randrange(2)) + field(3, place * 64) + lines))
    for _ in range(generator.randrange(1, 30)):
        stack = [generator.randrange(1, places + 1) for _ in range(generator.randrange(6))]
        values = [generator.randrange(1 << generator.randrange(1, 40)) for _ in types]
        packed = field(1, b"".join(map(varint, stack))) + field(2, b"".join(map(varint, values)))
        single = b"".join(field(1, one) for one in stack) + b"".join(field(2, one) for one in values)
        parts.append(field(2, generator.choice([packed, single])))
    parts.append(field(11, field(1, 2)) + field(12, generator.choice([1, 524288])))
    return b"".join(parts) + b"".join(field(6, text) for text in texts)


def seeds(target):
    generator = random.Random(target)
    yield b""
    for number in range(48):
        content = "".join(line + "\n" for line in heaptrack(generator, 1 + number % 3)).encode()
        if number % 4 == 0:
            content = "".join(line + "\n" for line in raw_heaptrack(generator, 1 + number // 4 % 3)).encode()
        if number % 2 == 1:
            content = pprof(generator)
        yield content
        yield gzip.compress(content, mtime=0)
        yield content[:generator.randrange(len(content))]
        changed = bytearray(content)
        for _ in range(4):
            changed[generator.randrange(len(changed))] = generator.choice(b"0f+-atsic \n")
        yield bytes(changed)


if __name__ == "__main__":
    make_seeds.write_all(seeds)
