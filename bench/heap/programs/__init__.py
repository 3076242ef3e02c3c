"""Real programs of Debian's as workloads: each module makes its own input and says how to start the program.

A module has NAME, WHAT, NEEDS (the commands it starts) and prepare(folder, divisor), which writes the input into the
folder and returns a Launch. What the program prints, and the files it names as outputs, are compared with what it gave
under glibc. `redis` has run() instead, as a server is measured while a client drives it.
"""
from dataclasses import dataclass, field


@dataclass
class Launch:
    command: list
    outputs: list = field(default_factory=list)
    variables: dict = field(default_factory=dict)
    repeat: int = 1
