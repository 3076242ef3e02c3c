#!/usr/bin/env python3
"""Runs clang-tidy on the files of src that a build compiles, within a time budget, and says what it did not get to.

What differs from the main branch comes first. Then come all others, from a place on that the commit determines, so that
each has its turn though one run does not get round. A file that passed is not looked at again before it, a header
of ours or the configuration changes (BUILD/clang-tidy.json remembers).
"""
import argparse
import concurrent.futures
import hashlib
import json
import pathlib
import re
import shutil
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
# gcc's own flags, of which clang knows nothing.
UNKNOWN_FLAGS = [
    "-Wno-unknown-warning-option",
    "-Wno-ignored-optimization-argument",
    "-Wno-unused-command-line-argument",
]


def find_program():
    for name in ("clang-tidy-19", "clang-tidy"):
        if shutil.which(name):
            return name
    sys.exit("run_clang_tidy: clang-tidy-19 is not installed")


def commands(build, root=ROOT):
    """How the build compiles each file of src, once each: {path: entry}. Of files that are compiled together as one,
    which includes them, each is taken by itself; a room's own compilation comes before a test's that repeats it."""
    found = {}
    for entry in json.loads((build / "compile_commands.json").read_text()):
        whole = pathlib.Path(entry["file"])
        parts = [whole]
        if whole.parent.name == "Unity":
            parts = [pathlib.Path(part) for part in re.findall(r'^#include "(.+)"', whole.read_text(), re.MULTILINE)]
        for path in parts:
            if not path.is_relative_to(root / "src"):
                continue
            is_own = re.search(r" -o src/", entry["command"]) is not None
            if path not in found or is_own:
                command = entry["command"].replace(str(whole), str(path))
                found[path] = {**entry, "file": str(path), "command": command}
    return dict(sorted(found.items()))


def in_order(files, changed, commit):
    """The changed ones first, then the others in a round that begins where the commit's name says."""
    first = [path for path in files if path in changed]
    others = [path for path in files if path not in changed]
    begin = int(hashlib.sha256(commit.encode()).hexdigest(), 16) % max(len(others), 1)
    return first + others[begin:] + others[:begin]


def git(*words):
    """What git says; nothing where there is no repository or no such thing in it."""
    done = subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


def changed_files():
    """What differs from the main branch; nothing where there is none, or where it is what is checked out."""
    base = git("merge-base", "HEAD", "origin/main") or git("merge-base", "HEAD", "main")
    return {ROOT / name for name in git("diff", "--name-only", base).splitlines()} if base else set()


def fingerprint():
    """Of everything that any result depends on besides the file itself: our headers and the configuration."""
    digest = hashlib.sha256()
    for folder in ("src", "include"):
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in (".h", ".hpp", ".def"):
                digest.update(path.read_bytes())
    digest.update((ROOT / ".clang-tidy").read_bytes())
    return digest.hexdigest()


def look_at(program, folder, path, seconds):
    command = [program, "-p", str(folder), "--quiet", *(f"--extra-arg={flag}" for flag in UNKNOWN_FLAGS), str(path)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        return path, None, ""
    said = re.sub(r"^\d+ warnings? .*\n", "", done.stdout + done.stderr, flags=re.MULTILINE)
    return path, done.returncode == 0, said


def summary(wanted, known, late, changed, wrong):
    text = f"{len(wanted) - len(known) - len(late)} of {len(wanted)} files looked at"
    if known:
        text += f", {len(known)} unchanged since they passed"
    if late:
        late_changed = sum(path in changed for path in late)
        text += f", {len(late)} NOT looked at for lack of time ({late_changed} of them changed)"
    return f"{text}, {wrong} with findings"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build/release", help="a configured build")
    parser.add_argument("--seconds", type=float, default=240, help="time budget")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("files", nargs="*", type=pathlib.Path, help="only these")
    options = parser.parse_args()
    build = options.build.resolve()
    program, end = find_program(), time.monotonic() + options.seconds
    memory = build / "clang-tidy.json"
    passed = json.loads(memory.read_text()) if memory.exists() else {}
    changed = changed_files()
    apart = commands(build)
    folder = build / "clang-tidy"
    folder.mkdir(exist_ok=True)
    (folder / "compile_commands.json").write_text(json.dumps(list(apart.values()), indent=1))
    wanted = [path.resolve() for path in options.files] or in_order(list(apart), changed, git("rev-parse", "HEAD"))
    common = fingerprint()
    keys = {path: hashlib.sha256((common + path.read_text()).encode()).hexdigest() for path in wanted}
    known = [path for path in wanted if passed.get(str(path)) == keys[path]]
    open_files = [path for path in wanted if path not in known]

    wrong, late = [], []

    def task(path):
        left = end - time.monotonic()
        return (path, None, "") if left <= 0 else look_at(program, folder, path, left)

    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for path, good, said in pool.map(task, open_files):
            if good is None:
                late.append(path)
            elif good:
                passed[str(path)] = keys[path]
            else:
                wrong.append(path)
                print(said)
    memory.write_text(json.dumps(passed, indent=1))
    print(summary(wanted, known, late, changed, len(wrong)))
    # What a change touched must have been looked at; of the others a part is, each time another.
    return 1 if wrong or any(path in changed for path in late) else 0


if __name__ == "__main__":
    sys.exit(main())
