#!/usr/bin/env python3
"""Writes the seed corpus of import_fuzz: make_import_seeds.py TARGET FOLDER.

Small files as heaptrack writes them, whole, packed, cut off, and with bytes changed.
"""

import gzip
import pathlib
import random
import sys


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


def seeds(target):
    generator = random.Random(target)
    yield b""
    for number in range(24):
        content = "".join(line + "\n" for line in heaptrack(generator, 1 + number % 3)).encode()
        yield content
        yield gzip.compress(content, mtime=0)
        yield content[:generator.randrange(len(content))]
        changed = bytearray(content)
        for _ in range(4):
            changed[generator.randrange(len(changed))] = generator.choice(b"0f+-atsic \n")
        yield bytes(changed)


def main():
    target, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    for number, content in enumerate(seeds(target)):
        (folder / f"seed-{number:03}").write_bytes(content)


if __name__ == "__main__":
    main()
