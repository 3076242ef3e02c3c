"""Node: V8 has a heap of its own; what malloc sees is its compiler, its zones, buffers and zlib."""
import pathlib

from . import Launch

NAME = "node"
WHAT = "node: buffers, compression, JSON, many functions compiled"
NEEDS = ["node"]


def prepare(folder, divisor):
    script = pathlib.Path(__file__).parent / "scripts/workload.js"
    return Launch(["node", str(script), str(max(1, 8 // divisor))])
