"""Whether an allocator engaged, told from the dynamic loader's own log: real programs, and the awkward cases."""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "bench/heap"))

from harness import execution  # noqa: E402 (the path must be set first)
from harness.allocators import Allocator  # noqa: E402

HEAP = Allocator("heap", "/opt/libheap.so")


def line(user, provider, symbol="malloc"):
    return f"  7:\tbinding file {user} [0] to {provider} [0]: normal symbol `{symbol}' [GLIBC_2.2.5]\n"


def log_of(command, preload=None):
    with tempfile.TemporaryDirectory() as folder:
        variables = {"LD_DEBUG": "bindings", "LD_DEBUG_OUTPUT": f"{folder}/log", "LD_BIND_NOW": "1"}
        environment = {**os.environ, **variables, **({"LD_PRELOAD": preload} if preload else {})}
        subprocess.run(command, env=environment, check=True, capture_output=True)
        return "".join(path.read_text(errors="replace") for path in pathlib.Path(folder).iterdir())


class Bindings(unittest.TestCase):
    def refuses(self, log, allocator=HEAP):
        with self.assertRaises(execution.Failure) as caught:
            execution.check_bindings(log, allocator)
        self.assertIn("not engaged", str(caught.exception))

    def test_engaged(self):
        execution.check_bindings(line("/bin/program", HEAP.path) + line("libc.so.6", HEAP.path, "free"), HEAP)

    def test_nothing_bound_is_no_proof(self):
        self.refuses("")

    def test_one_stray_binding_is_enough_to_refuse(self):
        self.refuses(line("/bin/program", HEAP.path) + line("/lib/libother.so", "/lib/libc.so.6", "free"))

    def test_the_allocator_may_reach_for_the_one_behind_it(self):
        execution.check_bindings(line("/bin/program", HEAP.path) + line(HEAP.path, "/lib/libc.so.6"), HEAP)

    def test_an_executable_may_lend_its_jump(self):
        lent = line("/lib/libc.so.6", "/bin/fixed") + line("/bin/fixed", "/bin/fixed")
        execution.check_bindings(lent + line("/bin/fixed", HEAP.path), HEAP)
        self.refuses(lent + line("/bin/fixed", HEAP.path, "free"))

    def test_a_real_program_with_and_without(self):
        listing = subprocess.run(["ldd", shutil.which("true")], capture_output=True, text=True, check=True).stdout
        libc = next(word for word in listing.split() if word.startswith("/") and "libc.so" in word)
        log = log_of(["true"])
        execution.check_bindings(log, Allocator("glibc", libc))
        self.refuses(log)


if __name__ == "__main__":
    unittest.main()
