"""On what figures were made, as one sentence that stands above them."""
import datetime
import os
import pathlib
import platform
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[3]


def first_line(path, prefix=""):
    try:
        lines = pathlib.Path(path).read_text().splitlines()
    except OSError:
        return "unknown"
    found = next((line for line in lines if line.startswith(prefix)), "unknown")
    return found.partition(":")[2].strip() if prefix and ":" in found else found


def command_line(script, words):
    """As it was typed, but for the paths, which are of one machine alone."""
    shown, named = [script], {"--peers": "FILE", "--build": "FOLDER", "--tenure": "LIBRARY"}
    for before, word in zip(["", *words], words):
        if before in named:
            word = named[before]
        elif before == "--peer":
            word = word.partition("=")[0] + "=PATH"
        shown.append(word)
    return " ".join(shown)


def facts():
    commit = subprocess.run(["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    return {
        "processor": first_line("/proc/cpuinfo", "model name"), "cores": os.cpu_count(), "kernel": platform.release(),
        "huge_pages": first_line("/sys/kernel/mm/transparent_hugepage/enabled"),
        "commit": commit.stdout.strip() or "unknown", "date": datetime.date.today().isoformat(),
    }


def sentence(about):
    return (f"{about['date']}, commit {about['commit']}, {about['processor']}, {about['cores']} cores, kernel "
            f"{about['kernel']}, transparent huge pages {about['huge_pages']}")
