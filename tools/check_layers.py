#!/usr/bin/env python3
"""Holds every #include, every room's CMakeLists.txt and every question for the architecture against layers.toml.

Prints one line for each violation, "file:line: what is wrong", and fails when there is one. It looks at src/ and
include/; tests, benchmarks and examples may include anything.
"""
import argparse
import fnmatch
import pathlib
import re
import sys
import tomllib

INCLUDE = re.compile(r'^\s*#\s*include(?:_next)?\s*([<"])([^>"]+)[>"]')
ROOM = re.compile(r"^[ \t]*tenure_(core|library|instrument)_room\s*\(([^)]*)\)", re.MULTILINE)
KEYWORDS = {"SOURCES", "ROOMS", "LIBRARIES", "OPTIONS"}
SOURCES = {".h", ".cc", ".c", ".S", ".def", ".inc"}


class Checker:
    def __init__(self, root):
        self.root = root
        self.table = tomllib.loads((root / "layers.toml").read_text())
        self.violations = []
        self.edges = {}
        self.used_exceptions = set()
        self.wings = {name: wing for name, wing in self.table.items() if isinstance(wing, dict) and "floors" in wing}
        self.exceptions = self.table.get("exception", [])
        self.architecture = self.table.get("architecture", {"macros": "(?!)", "files": []})
        self.asking = set()

    def violation(self, path, line, text):
        self.violations.append(f"{path.relative_to(self.root)}:{line}: {text}")

    def check_table(self):
        """A room names only rooms of lower floors, so that the table itself can hold no cycle."""
        path = self.root / "layers.toml"
        for wing_name, wing in self.wings.items():
            floors = wing["floors"]
            for room, allowed in wing["rooms"].items():
                if room not in floors:
                    self.violation(path, 1, f"{wing_name}/{room} has no floor")
                    continue
                for other in allowed:
                    if other != "wire" and other not in floors[: floors.index(room)]:
                        self.violation(path, 1, f"{wing_name}/{room} names {other}, which is not below it")
        for entry in self.exceptions:
            if not entry.get("reason", "").strip():
                self.violation(path, 1, f"the exception for {entry.get('file')} gives no reason")

    def excepted(self, path, header):
        name = str(path.relative_to(self.root))
        for index, entry in enumerate(self.exceptions):
            if fnmatch.fnmatch(name, entry["file"]) and entry["include"] == header:
                self.used_exceptions.add(index)
                return True
        return False

    def place_of(self, path):
        """(wing, room) of a file below src/, ("wire", None) and ("include", None) for the two without rooms."""
        parts = path.relative_to(self.root).parts
        if parts[:2] == ("include", "tenure"):
            return "include", None
        if parts[0] != "src" or len(parts) < 3:
            return None, None
        if parts[1] == "wire":
            return "wire", None
        return parts[1], parts[2]

    def check_ours(self, path, line, header, wing, room):
        """An include of ours: "wing/room/file.h", "wire/file.h" or "tenure/file.h"."""
        first, _, rest = header.partition("/")
        if first == "tenure":
            is_client = room in self.table[wing].get("clients", [])
            if not is_client and "tenure/" not in self.table[wing].get("public", []):
                self.violation(path, line, f"{wing} does not include the public headers: {header}")
            return
        if first == "wire":
            allowed = self.wings[wing]["rooms"].get(room, []) if wing in self.wings else []
            if wing != "wire" and "wire" not in allowed:
                self.violation(path, line, f"{self.name(wing, room)} may not include wire: {header}")
            return
        other = rest.partition("/")[0]
        if first != wing and header in self.table[wing].get("stateless", []):
            return
        if first != wing:
            self.violation(path, line, f"{self.name(wing, room)} may not include the wing {first}: {header}")
        elif other != room and other not in self.wings[wing]["rooms"].get(room, []):
            self.violation(path, line, f"{self.name(wing, room)} may not include {first}/{other}: {header}")

    @staticmethod
    def name(wing, room):
        return wing if room is None else f"{wing}/{room}"

    def check_foreign(self, path, line, header, wing, room):
        """An include that is not ours: on the wing's list, and a confined library only in its room."""
        allowed = self.table[wing].get("headers", [])
        if not any(fnmatch.fnmatchcase(header, pattern) for pattern in allowed):
            self.violation(path, line, f"<{header}> is not on the list of headers of {wing}")
        for rule in self.table.get("confined", []):
            if re.search(rule["headers"], header) and self.name(wing, room) != rule["room"]:
                self.violation(path, line, f"<{header}> belongs to {rule['room']} alone")

    def check_file(self, path):
        wing, room = self.place_of(path)
        if wing is None or wing not in self.table:
            self.violation(path, 1, "stands in no wing of layers.toml")
            return
        if wing in self.wings and room not in self.wings[wing]["rooms"]:
            self.violation(path, 1, f"stands in no room of layers.toml ({wing}/{room})")
            return
        for number, text in enumerate(path.read_text(errors="replace").splitlines(), 1):
            self.check_architecture(path, number, text)
            found = INCLUDE.match(text)
            if not found or self.excepted(path, found.group(2)):
                continue
            self.check_include(path, number, found.group(1), found.group(2), wing, room)

    def check_include(self, path, number, quote, header, wing, room):
        first = header.partition("/")[0]
        ours = first in self.wings or first in ("wire", "tenure")
        if ours:
            self.check_ours(path, number, header, wing, room)
            base = self.root / ("include" if first == "tenure" else "src")
            if (base / header).exists():
                self.edges.setdefault(path, []).append(base / header)
            else:
                self.violation(path, number, f"there is no such file: {header}")
        elif quote == '"':
            self.violation(path, number, f'our headers are included by their full name, others in <>: "{header}"')
        else:
            self.check_foreign(path, number, header, wing, room)

    def check_architecture(self, path, number, text):
        """Only the listed files ask what they are compiled for."""
        found = re.search(self.architecture["macros"], text.partition("//")[0])
        if not found:
            return
        name = str(path.relative_to(self.root))
        self.asking.add(name)
        if name not in self.architecture["files"]:
            self.violation(path, number, f"{found.group()} is asked for in the files that layers.toml lists alone")

    def check_architecture_files(self):
        """The list names one file a room, and only files that need to stand there."""
        rooms = set()
        for name in self.architecture["files"]:
            place = self.place_of(self.root / name)
            if place in rooms:
                self.violation(self.root / "layers.toml", 1, f"{name} is the second file of {self.name(*place)}")
            rooms.add(place)
            if name not in self.asking:
                self.violation(self.root / "layers.toml", 1, f"{name} does not depend on the architecture")

    def check_cycles(self):
        """No header includes itself by way of others."""
        state = {}

        def visit(path, trail):
            state[path] = "open"
            for other in self.edges.get(path, []):
                if state.get(other) == "open":
                    ring = trail[trail.index(other):] + [other]
                    names = " -> ".join(str(item.relative_to(self.root)) for item in ring)
                    self.violation(path, 1, f"include cycle: {names}")
                elif other not in state:
                    visit(other, trail + [other])
            state[path] = "done"

        for path in sorted(self.edges):
            if path not in state:
                visit(path, [path])

    def check_cmake(self, path):
        """The CMake target of a room names only the rooms that the table allows."""
        text = re.sub(r"#[^\n]*", "", path.read_text())
        wing, room = self.place_of(path)
        for found in ROOM.finditer(text):
            line = text.count("\n", 0, found.start()) + 1
            words = found.group(2).split()
            target = words[0]
            if target != room:
                self.violation(path, line, f"the target {target} stands in the folder of {room}")
                continue
            for other in self.named_rooms(words):
                if other not in self.wings[wing]["rooms"].get(room, []):
                    self.violation(path, line, f"{wing}/{room} may not name the room {other}")

    @staticmethod
    def named_rooms(words):
        rooms, current = [], None
        for word in words[1:]:
            if word in KEYWORDS:
                current = word
            elif current == "ROOMS":
                rooms.append(word)
        return rooms

    def check_unused_exceptions(self):
        for index, entry in enumerate(self.exceptions):
            if index not in self.used_exceptions:
                text = f"the exception for {entry['file']} and {entry['include']} is not needed"
                self.violation(self.root / "layers.toml", 1, text)

    def run(self):
        self.check_table()
        files = 0
        for folder in ("src", "include"):
            for path in sorted((self.root / folder).rglob("*")):
                if path.suffix in SOURCES and path.is_file():
                    self.check_file(path)
                    files += 1
        for path in sorted((self.root / "src").glob("*/*/CMakeLists.txt")):
            self.check_cmake(path)
        self.check_cycles()
        self.check_unused_exceptions()
        self.check_architecture_files()
        return files


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parent.parent)
    checker = Checker(parser.parse_args().root.resolve())
    files = checker.run()
    print("\n".join(checker.violations) if checker.violations else f"{files} files")
    return 1 if checker.violations else 0


if __name__ == "__main__":
    sys.exit(main())
