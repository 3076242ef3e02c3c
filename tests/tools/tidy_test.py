"""The house limits, each broken once in a small tree; the function scanner against C++ whose lengths are known."""
import pathlib
import subprocess
import sys
import tempfile
import textwrap
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

from tidy_scan import functions  # noqa: E402  (the path comes first)

LIMITS = "[limits]\nfile_lines = 20\nfunction_lines = 5\nline_columns = 40\n"


def tidy(files, limits=LIMITS):
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        for name, text in {**files, "tools/tidy.toml": limits}.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)
        command = [sys.executable, ROOT / "tools/tidy.py", "--root", folder]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout.splitlines()[:-1]


class Limits(unittest.TestCase):
    def refuses(self, files, *words, limits=LIMITS):
        code, said = tidy(files, limits)
        self.assertEqual((code, len(said)), (1, 1), said)
        for word in words:
            self.assertIn(word, said[0])

    def test_a_good_tree_passes(self):
        source = '#include "a.h"\nint f() {\n  return 1;\n}\n'
        files = {"src/a.cc": source, "src/a.h": "", "src/CMakeLists.txt": "a.cc\n"}
        self.assertEqual(tidy(files), (0, []))

    def test_lines(self):
        self.refuses({"tools/x.py": "a = 1\n" * 21}, "tools/x.py:1", "21 lines")
        self.refuses({"tools/x.py": "b = 1\na = '" + "x" * 50 + "'\n"}, "tools/x.py:2", "too long")
        self.refuses({"tools/x.py": "a = 1 \n"}, "white space")
        self.refuses({"tools/x.py": "\ta = 1\n"}, "tab")
        self.refuses({"tools/x.py": "# TO" + "DO later\n"}, "reason")

    def test_a_function(self):
        body = "int f() {\n" + "  g();\n" * 6 + "}\n"
        self.refuses({"examples/a.c": body}, "examples/a.c:1", "f has 8 lines")

    def test_recorded_numbers_only_go_down(self):
        over = LIMITS + '[[over]]\nfile = "tools/x.py"\nlimit = "file_lines"\nvalue = 25\n'
        self.assertEqual(tidy({"tools/x.py": "a = 1\n" * 25}, over), (0, []))
        self.refuses({"tools/x.py": "a = 1\n" * 26}, "records 25", limits=over)
        self.refuses({"tools/x.py": "a = 1\n" * 24}, "lower the file_lines", limits=over)
        self.refuses({"tools/y.py": "a = 1\n"}, "is not needed", limits=over)

    def test_dead_files(self):
        self.refuses({"src/a.cc": "int a;\n", "src/CMakeLists.txt": "aa.cc\n"}, "no CMakeLists.txt names it")
        self.refuses({"src/a.h": "int a;\n"}, "nothing includes it")

    def test_links(self):
        self.refuses({"README.md": "[a](gone.md)\n"}, "README.md:1", "there is no gone.md")
        self.refuses({"README.md": "# One\n\n[a](#two)\n"}, "README.md:3", "no heading #two")
        self.refuses({"docs/a.md": "# A\n"}, "no other document links to it")
        pages = {"README.md": "[a](docs/a.md#two-words)\n`[x](gone)`\n", "docs/a.md": "## Two words\n"}
        self.assertEqual(tidy(pages), (0, []))


class Functions(unittest.TestCase):
    def lengths(self, text):
        return [(name, length) for name, _, length in functions(textwrap.dedent(text))]

    def test_members_constructors_and_operators(self):
        text = """\
            namespace a {
            struct b : c<int(int)> {
              b() : x_{1}, y_(2) {
                f();
              }
              bool operator==(const b& other) const noexcept { return x_ == other.x_; }
              int x_ = 1;
            };
            static const int table[] = {
              1,
              2,
            };
            template <class T>
            int e(T t = {}) {
              auto g = [&] {
                return 1;
              };
              if (t) { return 2; }
              return g();
            }
            }
        """
        lengths = self.lengths(text)
        self.assertIn(("operator==", 1), lengths)
        self.assertIn(("e", 8), lengths)
        self.assertNotIn("table", [name for name, _ in lengths])
        self.assertEqual(max(length for name, length in lengths if name != "e"), 3)

    def test_braces_in_comments_and_literals(self):
        text = """\
            int f() {
              // }
              const char* a = "}"; /* } */
              char c = '}';
              int n = 1'000;
              auto r = R"x(})x";
            }
        """
        self.assertEqual(self.lengths(text), [("f", 7)])


if __name__ == "__main__":
    unittest.main()
