"""Lua: tables, closures and strings, all of them from realloc and free."""
import pathlib

from . import Launch

NAME = "lua"
WHAT = "lua5.4: tables, closures, string building and sorting"
NEEDS = ["lua5.4"]


def prepare(folder, divisor):
    script = pathlib.Path(__file__).parent / "scripts/workload.lua"
    return Launch(["lua5.4", str(script), str(max(1, 16 // divisor))])
