"""Interpreters: python3, perl, lua, node."""

from case import WORKLOADS, Case


def python(session):
    environment = {"PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"}
    session.run("python3", "python3", WORKLOADS / "work.py", environment=environment)


def python_malloc(session):
    environment = {"PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONMALLOC": "malloc"}
    session.run("python3", "python3", WORKLOADS / "work.py", environment=environment)


def perl(session):
    session.run("perl", "perl", WORKLOADS / "work.pl", environment={"PERL_HASH_SEED": "0"})


def lua(session):
    session.run("lua", "lua5.4", WORKLOADS / "work.lua")


def node(session):
    session.run("node", "node", WORKLOADS / "work.js")


CASES = {
    "python": Case(python, ("python3",), ("python3",)),
    "python_malloc": Case(python_malloc, ("python3",), ("python3",)),
    "perl": Case(perl, ("perl",), ("perl",)),
    "lua": Case(lua, ("lua5.4",), ("lua5.4",)),
    "node": Case(node, ("node",), ("node",)),
}
