"""CPython with every object from malloc: JSON, dictionaries, sorting, text and objects that die at once."""
import pathlib

from . import Launch

NAME = "python"
WHAT = "python3 with PYTHONMALLOC=malloc: JSON, dictionaries, sorting, text"
NEEDS = ["/usr/bin/python3"]


def prepare(folder, divisor):
    script = pathlib.Path(__file__).parent / "scripts/workload.py"
    # -I and no bytecode: the result must not depend on the user's environment, nor leave files.
    return Launch(["/usr/bin/python3", "-I", "-B", str(script), str(max(1, 6 // divisor))],
                  variables={"PYTHONMALLOC": "malloc", "PYTHONHASHSEED": "0"})
