"""What a comparison of a real program consists of."""

import dataclasses
import pathlib
import typing

ROOT = pathlib.Path(__file__).resolve().parents[2]
WORKLOADS = pathlib.Path(__file__).parent / "workloads"


@dataclasses.dataclass(frozen=True)
class Case:
    run: typing.Callable
    programs: tuple  # process names that must have run on the heap
    needs: tuple  # commands that must be installed
    least_bytes: int = 1000  # of output; below, nothing was compared
