"""The cost of being there at all: /bin/true, many times over."""
from . import Launch

NAME = "startup"
WHAT = "/bin/true, started 300 times"
NEEDS = ["true"]


def prepare(folder, divisor):
    return Launch(["/bin/true"], repeat=max(1, 300 // divisor))
