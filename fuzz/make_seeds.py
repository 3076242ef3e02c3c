#!/usr/bin/env python3
"""Writes the seed corpus of a fuzz target: make_seeds.py TARGET FOLDER.

The seeds are pseudo-random byte strings of many lengths, drawn from the target's name, so that each run of the replay
test sees the same ones and two targets see different ones. The skewed ones repeat few byte values, which in a target
that reads operations from bytes means long runs of the same operation.
"""

import pathlib
import random
import sys


def seeds(target):
    generator = random.Random(target)
    yield b""
    for length in (1, 2, 3, 7, 16, 64, 256, 1024, 4096):
        yield generator.randbytes(length)
    for _ in range(24):
        yield generator.randbytes(generator.randrange(512, 8192))
    for _ in range(24):
        alphabet = generator.randbytes(generator.randrange(2, 6))
        yield bytes(generator.choices(alphabet, k=generator.randrange(256, 4096)))
    yield bytes(2048)
    yield b"\xff" * 2048


def write_all(seeds_of):
    """The seeds of the target and into the folder that the command line names; seeds_of(target) makes them."""
    target, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    for number, content in enumerate(seeds_of(target)):
        (folder / f"seed-{number:03}").write_bytes(content)


if __name__ == "__main__":
    write_all(seeds)
