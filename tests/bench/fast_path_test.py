"""tools/fast_path.py on a library written in assembly, whose instruction mix is known by counting its lines."""
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOOL = ROOT / "tools/fast_path.py"

# malloc: load compare jump load store store arithmetic ret; what follows its ret is the rare part.
MALLOC = """
    movq %fs:0, %rdx
    cmpq $1024, %rdi
    ja 1f
    movzbl (%rdx,%rdi), %eax
    movq %rax, 8(%rdx)
    subl $1, 16(%rdx)
    leaq 4(%rdx), %rax
    ret
1:  xorl %eax, %eax
    call abort@plt
    ret
"""
# The others: an unconditional jump to a tail that is shared.
FREE = "    testq %rdi, %rdi\n    je 2f\n    jmp tail\n2:  ret\n"
TAIL = "tail:\n    movq %rdi, %rax\n    addq $8, %rax\n    ret\n"


def source(malloc=MALLOC, free=FREE):
    bodies = {"malloc": malloc, "free": free, "_Znwm": free, "_ZdlPvm": free}
    return "    .text\n" + TAIL + "".join(f"    .globl {name}\n    .type {name}, @function\n{name}:\n{body}"
                                          for name, body in bodies.items())


@unittest.skipUnless(shutil.which("gcc") and shutil.which("objdump"), "needs gcc and binutils")
class FastPath(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.golden = pathlib.Path(self.folder.name) / "golden.txt"

    def tool(self, text, *options):
        assembly = pathlib.Path(self.folder.name) / "heap.s"
        assembly.write_text(text)
        library = assembly.with_suffix(".so")
        subprocess.run(["gcc", "-shared", "-o", library, assembly], check=True, capture_output=True)
        command = [sys.executable, TOOL, library, "--golden", self.golden, *options]
        return subprocess.run(command, capture_output=True, text=True)

    def row(self, title):
        line = next(line for line in self.golden.read_text().splitlines() if line.startswith(title + "  "))
        return [int(number) for number in line[len(title):].split()]

    def test_counts_by_kind(self):
        self.assertEqual(self.tool(source(), "--update").returncode, 0)
        self.assertEqual(self.row("malloc"), [2, 2, 1, 1, 1, 1, 8])
        self.assertEqual(self.row("free"), [0, 0, 1, 1, 1, 3, 6])
        self.assertEqual(self.row("malloc + free"), [14])

    def test_agrees_with_what_it_wrote_and_notices_one_instruction_more(self):
        self.tool(source(), "--update")
        self.assertEqual(self.tool(source()).returncode, 0)
        changed = self.tool(source(malloc="    orq %rdi, %rdi\n" + MALLOC))
        self.assertEqual(changed.returncode, 1)
        self.assertIn("differs", changed.stdout)

    def test_holds_the_limit(self):
        self.tool(source(), "--update")
        long = self.tool(source(malloc="    addq $1, %rdi\n" * 20 + MALLOC))
        self.assertEqual(long.returncode, 1)
        self.assertIn("34 instructions together; the limit is 32", long.stdout)

    def test_a_call_on_the_path_is_an_error(self):
        called = self.tool(source(malloc="    call abort@plt\n" + MALLOC))
        self.assertEqual(called.returncode, 1)
        self.assertIn("calls", called.stderr)


if __name__ == "__main__":
    unittest.main()
