"""The allocators to compare, as names and paths of libraries to preload."""
import pathlib
import re
import subprocess
from dataclasses import dataclass

OURS = "tenure"

# What Debian has, by the name the loader knows. glibc is preloaded like the others: it changes nothing for most
# programs, and it puts glibc before the allocator that a program like redis-server is linked with.
DEBIAN = {
    "glibc": ["libc.so.6"],
    "jemalloc": ["libjemalloc.so.2"],
    "mimalloc": ["libmimalloc.so.2", "libmimalloc.so.2.0"],
    "tcmalloc": ["libtcmalloc_minimal.so.4"],
}


class Unusable(Exception):
    """One sentence for the user: what is missing and how to get it."""


@dataclass(frozen=True)
class Allocator:
    name: str
    path: str


def known_to_loader():
    listing = subprocess.run(["/sbin/ldconfig", "-p"], capture_output=True, text=True, check=True).stdout
    found = {}
    for name, where in re.findall(r"^\s+(\S+) \(libc6,x86-64[^)]*\) => (\S+)", listing, re.MULTILINE):
        found.setdefault(name, where)
    return found


def find(tenure_library, peers):
    """All allocators that can be had: ours, Debian's, and NAME=PATH peers. Missing ones are returned as sentences."""
    loader = known_to_loader()
    found, missing = [], []
    if pathlib.Path(tenure_library).is_file():
        found.append(Allocator(OURS, str(pathlib.Path(tenure_library).resolve())))
    else:
        missing.append(f"{OURS}: {tenure_library} does not exist; build target tenure_preload")
    for name, libraries in DEBIAN.items():
        path = next((loader[library] for library in libraries if library in loader), None)
        if path:
            found.append(Allocator(name, path))
        else:
            missing.append(f"{name}: {libraries[0]} is not installed; see tools/packages/bench.txt")
    for peer in peers:
        name, separator, path = peer.partition("=")
        if not separator or not pathlib.Path(path).is_file():
            raise Unusable(f"--peer wants NAME=PATH of a library that exists, not {peer!r}")
        if any(name == one.name for one in found):
            raise Unusable(f"--peer {name}: there is an allocator of that name already")
        found.append(Allocator(name, str(pathlib.Path(path).resolve())))
    return found, missing


def choose(found, only):
    if not only:
        return found
    unknown = sorted(set(only) - {one.name for one in found})
    if unknown:
        raise Unusable(f"--only names {', '.join(unknown)}, of which no library was found")
    return [one for one in found if one.name in only]
