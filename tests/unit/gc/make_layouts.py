#!/usr/bin/env python3
"""Writes a C++ file of structs with random layouts, for layouts_test.cc.

    make_layouts.py --seed 1 --count 120 --output random_layouts.h

Managed pointers in them are of a class that notes its own address when it is
constructed (`noted`), or plain ones whose addresses the struct's own
constructor notes: neither asks the compiler for a layout. The same seed gives
the same file.
"""

import argparse
import random

NARROW = [
    "char", "short", "int", "double", "std::string", "std::vector<int>", "std::unique_ptr<int>", "void*", "bool",
    "std::array<char, 3>", "std::optional<short>", "gc::weak<target>",
]
# More aligned than a pointer. A class that lists its members has none of them, nor has what it consists of: padding in
# front of one is as large as a member that was forgotten, and is refused as one.
WIDE = ["long double", "wide_number", "wide_pointer"]


class Maker:
    """One file's worth of structs."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.lines: list[str] = []
        self.narrow: list[str] = []  # aggregates that may be fields of anything
        self.wide: list[str] = []  # and of aggregates
        self.bases: list[str] = []  # classes without bases
        self.sides: dict[str, list[str]] = {}  # classes that have one as a virtual base, by that
        self.made: list[str] = []

    def field_type(self, is_wide: bool, depth: int = 0) -> str:
        """A type that may stand in front of a field's name."""
        kind = self.dice.randrange(12)
        if kind < 3:
            return "noted"
        if kind == 3 and depth < 2:
            return f"std::pair<{self.field_type(is_wide, depth + 1)}, {self.field_type(is_wide, depth + 1)}>"
        if kind == 4 and depth < 2:
            parts = ", ".join(self.field_type(is_wide, depth + 1) for _ in range(self.dice.randint(1, 4)))
            return f"std::tuple<{parts}>"
        if kind == 5 and depth < 2:
            return f"std::array<{self.field_type(is_wide, depth + 1)}, {self.dice.randint(1, 4)}>"
        known = self.narrow + (self.wide if is_wide else [])
        if kind == 6 and known:
            return self.dice.choice(known)
        return self.dice.choice(NARROW + (WIDE if is_wide else []))

    def extent(self) -> str:
        """What stands behind a field's name: nothing, or an array's size."""
        roll = self.dice.randrange(6)
        if roll == 0:
            return f"[{self.dice.randint(1, 5)}]"
        if roll == 1:
            return f"[{self.dice.randint(1, 3)}][{self.dice.randint(1, 3)}]"
        return ""

    def aggregate(self, name: str) -> None:
        """Fields and nothing else."""
        is_wide = self.dice.randrange(2) == 0
        # As much as any: a member may ask for that, and less than a member asks for is an error.
        aligned = "alignas(64) " if is_wide and self.dice.randrange(3) == 0 else ""
        self.lines.append(f"struct {aligned}{name} {{")
        for i in range(self.dice.randint(1, 9)):
            if self.dice.randrange(8) == 0:
                self.lines.append(f"  unsigned bits{i} : {self.dice.randint(1, 31)};")
            else:
                self.lines.append(f"  {self.field_type(is_wide)} field{i}{self.extent()};")
        self.lines.append("};")
        (self.wide if is_wide else self.narrow).append(name)
        self.made.append(name)

    def listing(self, name: str) -> None:
        """A class that lists its members, with bases, a constructor and sometimes a vtable."""
        kind = self.dice.randrange(6)
        shared = [sides for sides in self.sides.values() if len(sides) >= 2]
        if kind == 0 and shared:  # a diamond
            bases = self.dice.sample(self.dice.choice(shared), 2)
        elif kind <= 2 and self.bases:  # a side of one
            bases = [self.dice.choice(self.bases)]
            self.sides.setdefault(bases[0], []).append(name)
        else:
            bases = self.dice.sample(self.bases, min(len(self.bases), self.dice.randrange(3)))
        virtual = "virtual " if name in sum(self.sides.values(), []) else ""
        heads = [f"{virtual}public {base}" for base in bases]
        self.lines.append(f"class {name}{' : ' if heads else ''}{', '.join(heads)} {{")
        self.lines.append(" public:")
        fields = []
        for i in range(self.dice.randint(1, 6)):
            plain = self.dice.randrange(3) == 0
            if plain:
                kind = self.dice.choice(["gc::member<target>", "gc::atomic_member<target>"])
            else:
                kind = self.field_type(False)
            fields.append((kind, f"{name}_{i}_", "" if plain else self.extent(), plain))
        notes = " ".join(f"note(&{field});" for _, field, _, plain in fields if plain)
        self.lines.append(f"  {name}() {{ {notes} }}")
        if self.dice.randrange(3) == 0:
            self.lines.append(f"  virtual ~{name}() = default;")
        names = ", ".join(field for _, field, _, _ in fields)
        if bases:
            self.lines.append(f"  TENURE_GC_MEMBERS_OF({name}, ({', '.join(bases)}), {names});")
        else:
            self.lines.append(f"  TENURE_GC_MEMBERS({name}, {names});")
        self.lines.append(" private:")
        for kind, field, extent, _ in fields:
            self.lines.append(f"  {kind} {field}{extent};")
        self.lines.append("};")
        if not bases:
            self.bases.append(name)
        self.made.append(name)

    def file(self, count: int) -> str:
        for i in range(count):
            if self.dice.randrange(2) == 0:
                self.aggregate(f"aggregate_{i}")
            else:
                self.listing(f"class_{i}")
        types = ",\n    ".join(self.made)
        return "\n".join(self.lines) + f"\n\nusing random_layouts = testing::Types<\n    {types}>;\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--output", required=True)
    arguments = parser.parse_args()
    with open(arguments.output, "w", encoding="ascii") as out:
        out.write(Maker(arguments.seed).file(arguments.count))


if __name__ == "__main__":
    main()
