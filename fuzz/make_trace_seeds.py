#!/usr/bin/env python3
"""Seeds for replay_trace_fuzz: traces in each format, and the same with a byte gone wrong or an end cut off.

make_trace_seeds.py TARGET FOLDER
"""

import random
import struct
import sys

sys.dont_write_bytecode = True

import make_seeds  # noqa: E402 (after the switch)


def traces(generator):
    objects = [generator.randrange(30) for _ in range(generator.randrange(1, 60))]
    yield b"".join(struct.pack("<IQIq", i, one, one * 10, -1) for i, one in enumerate(objects))
    yield "".join(f"{i},{one},{one * 10}\n" for i, one in enumerate(objects)).encode()
    yield ("id\tsize\n" + "".join(f"page {one}\t{one}\n" for one in objects)).encode()
    yield "".join(f'"{one};",{one}\r\n' for one in objects).encode()
    yield "".join(f"{one}\n" for one in objects).encode()
    yield "".join(f"{one}\n*\n" for one in objects).encode()
    yield "".join(f"{one * 8} {one % 5} 0 {i}\n" for i, one in enumerate(objects)).encode()


def seeds(target):
    generator = random.Random(target)
    yield b""
    for _ in range(6):
        for content in traces(generator):
            yield content
            yield content[: generator.randrange(len(content))]
            broken = bytearray(content)
            broken[generator.randrange(len(broken))] = generator.randrange(256)
            yield bytes(broken)


if __name__ == "__main__":
    make_seeds.write_all(seeds)
