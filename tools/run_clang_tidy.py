#!/usr/bin/env python3
"""Runs clang-tidy on src/core and src/instruments within a time budget, and says what it did not get to.

Core comes first, then what differs from the main branch, then the rest of the instruments. A file that passed is not
looked at again before it, a header of ours or the configuration changes (BUILD/clang-tidy.json remembers).
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


def sources(build):
    """Files of core and instruments that the build compiles, in the order they are looked at."""
    entries = json.loads((build / "compile_commands.json").read_text())
    files = sorted({pathlib.Path(entry["file"]) for entry in entries})
    core = [path for path in files if path.is_relative_to(ROOT / "src/core")]
    instruments = [path for path in files if path.is_relative_to(ROOT / "src/instruments")]
    changed = changed_files()
    return core + sorted(instruments, key=lambda path: path not in changed)


def changed_files():
    """What differs from the main branch; nothing where there is no git or no main branch."""
    git = ["git", "-C", str(ROOT)]
    base = subprocess.run(git + ["merge-base", "HEAD", "origin/main"], capture_output=True, text=True, check=False)
    if base.returncode != 0:
        return set()
    names = git + ["diff", "--name-only", base.stdout.strip()]
    diff = subprocess.run(names, capture_output=True, text=True, check=False)
    return {ROOT / name for name in diff.stdout.splitlines()}


def fingerprint():
    """Of everything that any result depends on besides the file itself: our headers and the configuration."""
    digest = hashlib.sha256()
    for folder in ("src", "include"):
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in (".h", ".def"):
                digest.update(path.read_bytes())
    digest.update((ROOT / ".clang-tidy").read_bytes())
    return digest.hexdigest()


def look_at(program, build, path, seconds):
    command = [program, "-p", str(build), "--quiet", *(f"--extra-arg={flag}" for flag in UNKNOWN_FLAGS), str(path)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        return path, None, ""
    said = re.sub(r"^\d+ warnings? .*\n", "", done.stdout + done.stderr, flags=re.MULTILINE)
    return path, done.returncode == 0, said


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
    wanted = [path.resolve() for path in options.files] or sources(build)
    common = fingerprint()
    keys = {path: hashlib.sha256((common + path.read_text()).encode()).hexdigest() for path in wanted}
    known = [path for path in wanted if passed.get(str(path)) == keys[path]]
    open_files = [path for path in wanted if path not in known]

    wrong, late = [], []

    def task(path):
        left = end - time.monotonic()
        return (path, None, "") if left <= 0 else look_at(program, build, path, left)

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
    for path in late:
        print(f"not looked at, out of time: {path.relative_to(ROOT)}")
    looked = len(open_files) - len(late)
    print(f"{looked} files looked at, {len(known)} unchanged, {len(late)} skipped for time, {len(wrong)} with findings")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
