"""The example's database script at a quarter of its scale."""
import pathlib

from . import Launch

NAME = "sqlite"
WHAT = "sqlite3: load, index, query, change and drop tables in memory"
NEEDS = ["sqlite3"]

SCRIPT = pathlib.Path(__file__).resolve().parents[3] / "examples/sqlite_workload/workload.sql"
SCALE_LINE = ".param set :rows 240000"


def prepare(folder, divisor):
    text = SCRIPT.read_text()
    if text.count(SCALE_LINE) != 1:
        raise ValueError(f"{SCRIPT} has no line {SCALE_LINE!r}")
    script = folder / "workload.sql"
    script.write_text(text.replace(SCALE_LINE, f".param set :rows {60000 // divisor}"))
    return Launch(["sqlite3", ":memory:", f".read {script}"])
