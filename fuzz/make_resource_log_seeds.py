#!/usr/bin/env python3
"""Seeds for resource_log_fuzz: logs as a resource writes them, and the same with lines gone wrong.

make_resource_log_seeds.py TARGET FOLDER
"""

import random
import sys

sys.dont_write_bytecode = True

import make_seeds  # noqa: E402 (after the switch)


def made_log(generator, requests):
    lines, live, now = ["tenure resource log 1 seed"], {}, 0
    for _ in range(requests):
        now += generator.randrange(1000)
        if live and generator.random() < 0.5:
            address = generator.choice(list(live))
            lines.append(f"- {address:x} {live.pop(address)} {now}")
        elif generator.random() < 0.05:
            lines.append(f"! {generator.randrange(1 << 40)} 16 {now}")
        else:
            address = generator.randrange(1 << 47)
            live[address] = f"{generator.randrange(1, 5000)} {1 << generator.randrange(8)}"
            lines.append(f"+ {address:x} {live[address]} {now}")
    return lines


def seeds(target):
    generator = random.Random(target)
    yield b""
    for requests in (1, 2, 10, 100):
        for _ in range(6):
            lines = made_log(generator, requests)
            yield "\n".join(lines).encode() + b"\n"
            broken = bytearray("\n".join(lines[1:]), "ascii")
            broken[generator.randrange(len(broken))] = generator.randrange(256)
            yield bytes(broken)


if __name__ == "__main__":
    make_seeds.write_all(seeds)
