"""The layer check finds each kind of wrong include in a small tree made for it, and nothing in a good one."""
import pathlib
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
TABLE = """
[wire]
path = "src/wire"
headers = ["cstdint"]
[core]
floors = ["base", "heap"]
headers = ["cstdint", "sys/*"]
public = ["tenure/"]
[core.rooms]
base = []
heap = ["base", "wire"]
[library]
floors = ["resource", "gc"]
headers = ["*"]
public = ["tenure/"]
stateless = ["core/base/bits.h"]
[library.rooms]
resource = []
gc = []
[instruments]
floors = ["symbols", "replay", "cli"]
headers = ["*"]
clients = ["replay"]
[instruments.rooms]
symbols = []
replay = []
cli = ["symbols", "wire"]
[[confined]]
headers = "^CLI/"
room = "instruments/cli"
[include]
headers = ["*"]
public = ["tenure/"]
"""
GOOD = {
    "include/tenure/heap.h": "#include <cstddef>\n",
    "src/wire/event.h": "#include <cstdint>\n",
    "src/core/base/bits.h": "#include <cstdint>\n",
    "src/core/heap/heap.h": '#include <sys/mman.h>\n#include "core/base/bits.h"\n#include "tenure/heap.h"\n',
    "src/core/heap/CMakeLists.txt": "tenure_core_room(heap SOURCES heap.cc ROOMS base wire)\n",
    "src/library/gc/mark.cc": '#include <vector>\n#include "core/base/bits.h"\n#include "tenure/heap.h"\n',
    "src/library/gc/CMakeLists.txt": "tenure_library_room(gc SOURCES mark.cc)\n",
    "src/instruments/symbols/name.h": "#include <string>\n",
    "src/instruments/replay/simulate.cc": '#include "tenure/heap.h"\n',
    "src/instruments/cli/main.cc": '#include <CLI/CLI.hpp>\n#include "instruments/symbols/name.h"\n',
    "src/instruments/cli/event.h": '#include "wire/event.h"\n',
}


def check(changes, table=TABLE):
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        for name, text in {**GOOD, **changes, "layers.toml": table}.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)
        command = [sys.executable, ROOT / "tools/check_layers.py", "--root", folder]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout


class CheckLayers(unittest.TestCase):
    def refuses(self, changes, *words, table=TABLE):
        code, said = check(changes, table)
        self.assertEqual(code, 1, said)
        self.assertEqual(len(said.splitlines()), 1, said)
        for word in words:
            self.assertIn(word, said)

    def test_a_good_tree_passes(self):
        self.assertEqual(check({}), (0, "9 files\n"))

    def test_an_upper_room(self):
        self.refuses({"src/core/base/up.h": '\n#include "core/heap/heap.h"\n'}, "src/core/base/up.h:2", "core/heap")

    def test_the_other_wing(self):
        self.refuses({"src/instruments/cli/x.cc": '#include "core/base/bits.h"\n'}, "instruments/cli", "wing core")

    def test_state_of_the_core_in_the_library(self):
        self.refuses({"src/library/gc/x.cc": '#include "core/heap/heap.h"\n'}, "library/gc", "wing core")

    def test_a_room_of_the_library_that_stands_apart(self):
        files = {"src/library/resource/arena.h": "", "src/library/gc/x.cc": '#include "library/resource/arena.h"\n'}
        self.refuses(files, "library/gc may not include library/resource")

    def test_a_target_of_the_library_that_names_too_much(self):
        text = "tenure_library_room(gc SOURCES mark.cc ROOMS resource)\n"
        self.refuses({"src/library/gc/CMakeLists.txt": text}, "library/gc may not name the room resource")

    def test_the_corridor_where_it_is_not_named(self):
        self.refuses({"src/core/base/x.h": '#include "wire/event.h"\n'}, "core/base may not include wire")

    def test_the_public_headers_in_a_room_that_is_no_client(self):
        files = {"src/instruments/symbols/x.h": '#include "tenure/heap.h"\n'}
        self.refuses(files, "does not include the public headers")

    def test_the_corridor_includes_nothing(self):
        self.refuses({"src/wire/x.h": '#include "core/base/bits.h"\n'}, "wire may not include the wing core")

    def test_a_library_header_in_core(self):
        self.refuses({"src/core/base/x.h": "#include <vector>\n"}, "<vector>", "core")

    def test_a_confined_library(self):
        self.refuses({"src/instruments/symbols/x.h": "#include <CLI/CLI.hpp>\n"}, "belongs to instruments/cli alone")

    def test_a_header_that_is_not_there(self):
        self.refuses({"src/core/heap/x.h": '#include "core/base/gone.h"\n'}, "no such file")

    def test_a_relative_name(self):
        self.refuses({"src/core/heap/x.h": '#include "heap.h"\n'}, "full name")

    def test_a_cycle_of_headers(self):
        files = {"src/core/base/a.h": '#include "core/base/b.h"\n', "src/core/base/b.h": '#include "core/base/a.h"\n'}
        self.refuses(files, "include cycle", "a.h -> ", "b.h")

    def test_a_folder_that_is_no_room(self):
        self.refuses({"src/core/attic/x.h": ""}, "no room", "core/attic")

    def test_a_target_that_names_too_much(self):
        text = "tenure_core_room(base SOURCES a.cc\n  ROOMS heap)  # ROOMS wire\n"
        self.refuses({"src/core/base/CMakeLists.txt": text}, "core/base may not name the room heap")

    def test_a_table_that_points_upward(self):
        self.refuses({}, "which is not below it", table=TABLE.replace("base = []", 'base = ["heap"]'))

    def test_an_exception_is_honoured_and_must_be_needed(self):
        entry = '[[exception]]\nfile = "src/core/base/x.h"\ninclude = "vector"\nreason = "for the test"\n'
        self.assertEqual(check({"src/core/base/x.h": "#include <vector>\n"}, TABLE + entry)[0], 0)
        self.refuses({}, "is not needed", table=TABLE + entry)

    def test_an_exception_needs_its_reason(self):
        entry = '[[exception]]\nfile = "src/core/base/x.h"\ninclude = "vector"\nreason = ""\n'
        self.refuses({"src/core/base/x.h": "#include <vector>\n"}, "gives no reason", table=TABLE + entry)

    def test_a_file_that_asks_for_the_architecture(self):
        rule = '[architecture]\nmacros = "__(x86_64|aarch64)__"\nfiles = ["src/core/base/machine.h"]\n'
        machine = {"src/core/base/machine.h": "// __aarch64__\n#if defined(__x86_64__)\n#endif\n"}
        self.assertEqual(check(machine, TABLE + rule)[0], 0)
        self.assertEqual(check({**machine, "src/core/heap/x.h": "// not __x86_64__\n"}, TABLE + rule)[0], 0)
        asking = {"src/core/heap/x.h": "#if A && \\\n    defined(__aarch64__)\n#endif\n"}
        self.refuses({**machine, **asking}, "src/core/heap/x.h:2", "__aarch64__", table=TABLE + rule)
        self.refuses({}, "machine.h does not depend on the architecture", table=TABLE + rule)
        second = rule[:-2] + ', "src/core/base/other.h"]\n'
        other = {"src/core/base/other.h": "#ifdef __x86_64__\n#endif\n"}
        self.refuses({**machine, **other}, "other.h is the second file of core/base", table=TABLE + second)


if __name__ == "__main__":
    unittest.main()
