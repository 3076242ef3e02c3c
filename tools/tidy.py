#!/usr/bin/env python3
"""House limits that only ratchet down (tools/tidy.toml), and the small laws that a compiler does not hold.

Prints one line for each violation, "file:line: what is wrong", and fails when there is one; ends with the assertion
density of src/core, which is reported and not limited.
"""
import argparse
import pathlib
import re
import sys
import tomllib

from tidy_links import check_links
from tidy_scan import functions, strip

FOLDERS = ["src", "include", "tests", "bench", "fuzz", "examples", "tools", "cmake", "docs", ".ci"]
CODE = {".h", ".cc", ".c", ".S", ".def", ".py", ".sh", ".cmake"}
CPP = {".h", ".cc", ".c"}
TEXT = CODE | {".md", ".toml", ".txt", ".in", ".sql"}
# What a test compares with, byte for byte, follows the laws of the program that made it.
EXEMPT = {"fixtures", "golden", "corpus", "data"}
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX)\b(?!\(\w)")
ASSERTION = re.compile(r"\b(TENURE_CHECK|TENURE_DCHECK|static_assert)\s*\(")
INCLUDE = re.compile(r'#\s*include\s*[<"]([^">]+)')


def is_named(path, lists):
    """By its name, by its stem (a list of programs) or by a name that a loop completes (${subject}_test.cc)."""
    for word in re.findall(r"[\w.${}-]+", lists):
        if word in (path.name, path.stem):
            return True
        if "${" in word and word.endswith(path.suffix):
            pattern = re.sub(r"\\\$\\\{\w+\\\}", r"\\w+", re.escape(word))
            if re.fullmatch(pattern, path.name):
                return True
    return False


class Tidy:
    def __init__(self, root):
        self.root = root
        self.violations = []
        table = tomllib.loads((root / "tools/tidy.toml").read_text())
        self.limits = table["limits"]
        self.over = {(entry["file"], entry["limit"]): entry["value"] for entry in table.get("over", [])}
        self.seen = set()
        self.files = self.find()

    def find(self):
        found = [path for path in sorted(self.root.iterdir()) if path.is_file() and self.is_text(path)]
        for folder in FOLDERS:
            for path in sorted((self.root / folder).rglob("*")):
                inside = path.relative_to(self.root).parts
                if path.is_file() and self.is_text(path) and not EXEMPT & set(inside) and "__pycache__" not in inside:
                    found.append(path)
        return found

    @staticmethod
    def is_text(path):
        return path.suffix in TEXT or (path.suffix == "" and path.name in ("run", "test", "CMakeLists.txt"))

    def name(self, path):
        return str(path.relative_to(self.root))

    def violation(self, path, line, text):
        self.violations.append(f"{self.name(path)}:{line}: {text}")

    def limit(self, path, line, limit, value, what):
        """A value over its limit is a violation, unless tidy.toml records it; then it may only go down."""
        key = (self.name(path), limit)
        recorded = self.over.get(key)
        if recorded is not None:
            self.seen.add(key)
            if value < recorded:
                self.violation(path, line, f"{what}: lower the {limit} of tools/tidy.toml from {recorded} to {value}")
            elif value > recorded:
                self.violation(path, line, f"{what}, {value} where tools/tidy.toml records {recorded}")
        elif value > (self.limits[limit] if limit != "line_columns" else 0):
            self.violation(path, line, f"{what} (limit {self.limits[limit]})")

    def check_lines(self, path, lines):
        too_long = 0
        first = 1
        for number, line in enumerate(lines, 1):
            if "\t" in line:
                self.violation(path, number, "tab")
            if line != line.rstrip():
                self.violation(path, number, "white space at the end of the line")
            if path.suffix in CODE and path.name != "tidy.py" and UNFINISHED.search(line):
                self.violation(path, number, "unfinished, without the reason it waits: TODO(reason)")
            if path.suffix in CODE and len(line) > self.limits["line_columns"]:
                first = number if too_long == 0 else first
                too_long += 1
        self.limit(path, first, "line_columns", too_long, f"{too_long} lines are too long")
        if path.suffix in CODE:
            self.limit(path, 1, "file_lines", len(lines), f"the file has {len(lines)} lines")

    def check_functions(self, path, text):
        longest = max(functions(text), key=lambda item: item[2], default=("", 1, 0))
        name, line, length = longest
        self.limit(path, line, "function_lines", length, f"{name} has {length} lines")

    def check_dead_files(self):
        """Each source is named in a CMake list of its folder or of one above it; each header is included."""
        lists = {}
        for path in self.files:
            if path.name == "CMakeLists.txt" or path.suffix == ".cmake":
                lists[path.parent] = lists.get(path.parent, "") + path.read_text()
        included = set()
        for path in self.files:
            if path.suffix in CPP | {".S", ".def"}:
                included.update(INCLUDE.findall(path.read_text(errors="replace")))
        basenames = {header.rpartition("/")[2] for header in included}
        for path in self.files:
            if path.relative_to(self.root).parts[0] not in ("src", "tests", "bench", "fuzz"):
                continue
            if path.suffix in (".cc", ".c", ".S"):
                near = "\n".join(lists[folder] for folder in path.parents if folder in lists)
                anywhere = any(self.name(path) in text for text in lists.values())
                everywhere = lists.get(self.root / "cmake", "")
                if not (anywhere or is_named(path, near + everywhere) or path.name in basenames):
                    self.violation(path, 1, "dead file: no CMakeLists.txt names it")
            elif path.suffix in (".h", ".def") and path.name not in basenames:
                self.violation(path, 1, "dead file: nothing includes it")

    def assertion_density(self):
        assertions = code = 0
        for path in self.files:
            if path.suffix in CPP and path.relative_to(self.root).parts[:2] == ("src", "core"):
                text = strip(path.read_text(errors="replace"))
                assertions += len(ASSERTION.findall(text))
                code += sum(1 for line in text.splitlines() if line.strip())
        density = 1000 * assertions / max(code, 1)
        return f"src/core has {assertions} assertions on {code} lines of code, {density:.0f} per thousand"

    def run(self):
        for path in self.files:
            text = path.read_text(errors="replace")
            self.check_lines(path, text.splitlines())
            if path.suffix in CPP:
                self.check_functions(path, text)
        self.check_dead_files()
        markdown = [path for path in self.files if path.suffix == ".md"]
        self.violations += check_links(self.root, markdown)
        for file, limit in sorted(set(self.over) - self.seen):
            self.violations.append(f"tools/tidy.toml:1: the {limit} of {file} is not needed")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parent.parent)
    tidy = Tidy(parser.parse_args().root.resolve())
    tidy.run()
    for line in tidy.violations:
        print(line)
    print(f"{len(tidy.files)} files; {tidy.assertion_density()}")
    return 1 if tidy.violations else 0


if __name__ == "__main__":
    sys.exit(main())
