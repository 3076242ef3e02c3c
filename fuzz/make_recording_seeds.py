#!/usr/bin/env python3
"""Writes the seed corpus of recording_fuzz: make_recording_seeds.py TARGET FOLDER.

Blocks of events alone and after what they name, with and without stacks of frees, whole and with bytes changed; and
what make_seeds.py writes for any target.
"""

import pathlib
import random
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests/support"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import make_seeds  # noqa: E402 (the path must be set first)
from protobuf_bytes import varint  # noqa: E402

RUN, PROCESS, DICTIONARY, EVENTS, END, TOTALS = 1, 2, 3, 4, 5, 15
STACKS = 4


def signed(value):
    return varint(value << 1 if value >= 0 else (-value << 1) - 1)


def text(value):
    return varint(len(value)) + value


def runs(values):
    result, at = b"", 0
    while at < len(values):
        length = next((i for i, one in enumerate(values[at:]) if one != values[at]), len(values) - at)
        result += varint(values[at]) + varint(length)
        at += length
    return result


def events(generator, tells_free_stacks):
    """A block of events as docs/reference/recording-format.md has it."""
    kinds, slots, free_stacks, live, last = [], b"", b"", [], 0
    given, made = [], 0
    for _ in range(generator.randrange(1, 25)):
        kind = generator.choice([0, 0, 1, 2])
        if kind == 1 and not live:
            kind = 0
        kinds.append(kind)
        if kind == 0:
            live.append(given.pop() if given else made)
            made += live[-1] == made
            continue
        free_stacks += varint(generator.randrange(STACKS + 1))
        if kind == 1:
            given.append(live.pop(generator.randrange(len(live))))
            slots += signed(given[-1] - last)
            last = given[-1]
    allocations = kinds.count(0)
    columns = [b"".join(map(varint, kinds)), b"".join(signed(generator.randrange(-1, 9)) for _ in kinds),
               runs([generator.randrange(2) for _ in kinds]),
               b"".join(varint(generator.randrange(STACKS)) for _ in range(allocations)),
               b"".join(varint(generator.randrange(300)) for _ in range(allocations)),
               runs([generator.randrange(8) for _ in range(allocations)]), slots]
    if tells_free_stacks:
        columns.append(free_stacks)
    return varint(len(kinds)) + b"".join(map(text, columns))


BEGIN = [(RUN, 0, varint(5) + varint(0)),
         (PROCESS, 1, varint(71) + varint(1) + varint(0) + varint(0) + varint(5) + varint(5) + text(b"/bin/app")
          + varint(0))]


def as_input(blocks):
    """Blocks as the target takes them: kind, process, length, payload."""
    return b"".join(bytes([kind, process, len(payload)]) + payload for kind, process, payload in blocks)


def recording(generator):
    module = varint(0x1000) + varint(0x9000) + varint(0x1000) + text(b"00ff") + text(b"/bin/app")
    dictionary = varint(1) + module + varint(2) + varint(1) + varint(0x1234) + varint(0) + varint(7) + varint(STACKS)
    for _ in range(STACKS):
        places = [generator.randrange(2) for _ in range(generator.randrange(4))]
        dictionary += varint(generator.randrange(3)) + text(bytes(places))
    dictionary += varint(2) + varint(71) + varint(72)
    blocks = BEGIN + [(DICTIONARY, 1, dictionary)]
    blocks += [(EVENTS, 1, events(generator, generator.randrange(3) != 0)) for _ in range(generator.randrange(1, 4))]
    return as_input(blocks + [(TOTALS, 1, totals(generator)), (END, 1, end(generator))])


def totals(generator):
    """What a process's stacks have allocated, freed and held."""
    def numbers(count):
        return b"".join(varint(generator.randrange(300)) for _ in range(count))

    stacks = b"".join(signed(1) + numbers(11) for _ in range(STACKS - 1))
    pairs = b"".join(varint(generator.randrange(STACKS)) + varint(generator.randrange(STACKS)) + numbers(2)
                     for _ in range(2))
    return varint(STACKS - 1) + stacks + varint(2) + pairs + varint(1) + numbers(6) + varint(1) + numbers(4)


def end(generator):
    """How a process ended, and what of it was lost."""
    threads = varint(2) + b"".join(varint(71 + i) + text(b"main") for i in range(2))
    losses = varint(1) + varint(generator.randrange(2)) + varint(5) + varint(500) + varint(2)
    figures = b"".join(varint(generator.randrange(9)) for _ in range(7))
    return varint(1) + varint(9000) + figures + varint(0) + threads + losses


def stack_of_nothing():
    """A dictionary whose one stack names a location that is not there."""
    stack = varint(0) + text(bytes([0]))
    return as_input(BEGIN + [(DICTIONARY, 1, varint(0) + varint(0) + varint(1) + stack + varint(0))])


def changed(generator, content):
    content = bytearray(content)
    for _ in range(generator.randrange(1, 6)):
        content[generator.randrange(len(content))] = generator.randrange(256)
    return bytes(content)


def seeds(target):
    generator = random.Random(target)
    yield from make_seeds.seeds(target)
    yield stack_of_nothing()
    for _ in range(30):
        for content in (recording(generator), events(generator, True)):
            yield content
            yield changed(generator, content)
            yield content[:generator.randrange(len(content))]


if __name__ == "__main__":
    make_seeds.write_all(seeds)
