"""Tools: compilers, git, Ghostscript, shell pipelines, and the building of Tenure's own sources."""

import json
import os
import pathlib
import shlex

from case import ROOT, WORKLOADS, Case


def generated_source():
    """A C++ file that keeps the compiler busy with templates, strings and containers."""
    lines = ["#include <algorithm>", "#include <map>", "#include <regex>", "#include <string>", "#include <vector>"]
    for index in range(60):
        lines.append(
            f"template <class type> struct node_{index} {{ std::map<std::string, std::vector<type>> table;\n"
            f"  type sum(type start) const {{ for (const auto& [name, values] : table)\n"
            f"    for (const type& value : values) start += value * static_cast<type>(name.size() + {index});\n"
            f"    return start; }} }};\n"
            f"long use_{index}(long start) {{ node_{index}<long> one; one.table[\"a{index}\"] = {{1, 2, {index}}};\n"
            f"  node_{index}<double> two; two.table[\"b\"] = {{0.5}};\n"
            f"  return one.sum(start) + static_cast<long>(two.sum(1.0)); }}")
    lines.append("bool match(const std::string& text) { return std::regex_search(text, std::regex(\"a+b*\")); }")
    return "\n".join(lines)


def gxx(session):
    (session.folder / "generated.cc").write_text(generated_source())
    session.run("g++", "g++", "-O2", "-g", "-c", "generated.cc", "-o", "generated.o")
    session.keep_file("generated.o")


SELF_HOSTED = ("core/base/options.cc", "core/base/format.cc", "core/os/virtual_memory.cc", "core/pages/page_heap.cc",
               "core/heap/heap.cc", "core/heap/thread_cache.cc", "core/heap/walk.cc", "core/preload/malloc.cc")


def self_host(session):
    build = pathlib.Path(os.environ["TENURE_TEST_BUILD"])
    for entry in json.loads((build / "compile_commands.json").read_text()):
        if not entry["file"].endswith(SELF_HOSTED):
            continue
        name = pathlib.Path(entry["file"]).stem + ".o"
        # Ninja's command stands in the build's folder; the object goes to ours.
        command = shlex.split(entry["command"])
        command[command.index("-o") + 1] = str(session.folder / name)
        without_dependencies = [word for index, word in enumerate(command)
                                if word not in ("-MD", "-MT", "-MF") and command[index - 1] not in ("-MT", "-MF")]
        session.run(name, "env", "-C", entry["directory"], *without_dependencies)
        session.keep_file(name)


# Two rooms of the core as a library, one of them by way of its archive: what a build has beyond its compilations.
LINKED = """
cmake_language(DEFER CALL add_library self_hosted SHARED $<TARGET_OBJECTS:tenure_base>)
cmake_language(DEFER CALL set_target_properties self_hosted PROPERTIES LINKER_LANGUAGE CXX)
cmake_language(DEFER CALL target_link_libraries self_hosted PRIVATE $<LINK_LIBRARY:WHOLE_ARCHIVE,tenure_os>)
"""


def self_build(session):
    """Configures this checkout and builds a part of it, everything that takes part on the heap."""
    (session.folder / "linked.cmake").write_text(LINKED)
    settings = {"CMAKE_BUILD_TYPE": "RelWithDebInfo", "CMAKE_C_COMPILER": "gcc", "CMAKE_CXX_COMPILER": "g++",
                "TENURE_TESTS": "OFF", "TENURE_TOOLS": "OFF",
                "CMAKE_PROJECT_Tenure_INCLUDE": session.folder / "linked.cmake"}
    session.run("cmake", "cmake", "-S", str(ROOT), "-B", "build", "-G", "Ninja",
                *(f"-D{name}={value}" for name, value in settings.items()))
    # What cmake has tried out with the compiler and the linker proves nothing about the build.
    for note in pathlib.Path(session.environment["TENURE_TEST_ENGAGED"]).iterdir():
        if not note.name.startswith("cmake."):
            note.unlink()
    session.run("ninja", "ninja", "-C", "build", "--quiet", "-j2", "self_hosted")
    session.keep_file("build/build.ninja")
    session.keep_file("build/lib/libself_hosted.so")
    for room, source in (("base", "options"), ("base", "format"), ("os", "virtual_memory")):
        session.keep_file(f"build/src/core/{room}/CMakeFiles/tenure_{room}.dir/{source}.cc.o")


def git(session):
    author = {"GIT_AUTHOR_NAME": "A", "GIT_AUTHOR_EMAIL": "a@example.org", "GIT_AUTHOR_DATE": "1700000000 +0000",
              "GIT_COMMITTER_NAME": "A", "GIT_COMMITTER_EMAIL": "a@example.org", "GIT_CONFIG_NOSYSTEM": "1",
              "GIT_COMMITTER_DATE": "1700000000 +0000", "GIT_PAGER": "cat"}

    def run(*words):
        session.run(" ".join(words), "git", *words, environment=author)

    run("init", "-q", "-b", "trunk", ".")
    run("config", "pack.threads", "1")
    run("config", "gc.auto", "0")
    for revision in range(5):
        for number in range(150):
            lines = [f"line {line} of {number} in {revision if (line + number) % 7 == 0 else 0}" for line in range(80)]
            (session.folder / f"file{number}.txt").write_text("\n".join(lines))
        run("add", "-A")
        run("commit", "-q", "-m", f"revision {revision}")
    run("log", "-p", "--stat")
    run("gc", "-q")
    run("fsck", "--full", "--no-progress")
    run("cat-file", "--batch-all-objects", "--batch-check")
    run("diff", "HEAD~4", "HEAD", "--word-diff")
    run("blame", "file7.txt")
    run("grep", "-n", "line 7 ")


def gs(session):
    session.run("gs", "gs", "-q", "-dBATCH", "-dNOPAUSE", "-dSAFER", "-sDEVICE=ppmraw", "-r150",
                "-sOutputFile=page%d.ppm", f"--permit-file-read={WORKLOADS}/", str(WORKLOADS / "work.ps"))
    for page in (1, 2):
        session.keep_file(f"page{page}.ppm")


PIPELINES = """
set -e
seq 1 200000 | awk '{ print ($1 * 7919) % 100003, $1 % 17 }' > numbers
sort --parallel=2 -S 4M -k1,1n -k2,2n numbers | uniq | md5sum
cut -d' ' -f2 numbers | sort | uniq -c
sed 's/\\([0-9]\\)\\([0-9]\\)/\\2\\1/g' numbers | tr ' ' ',' | sha256sum
shuf --random-source=<(yes) -n 200 numbers
split -l 50000 numbers part. && cat part.* | cmp - numbers && echo same
join <(sort numbers | head -2000) <(sort -r numbers | tail -2000) | tail -50
tar --sort=name --mtime=@1700000000 --owner=0 --group=0 -cf - part.* | gzip -n9 | sha256sum
declare -A table
for index in {1..20000}; do table[key$((index * 7919 % 10007))]+="x$index"; done
for key in $(printf '%s\\n' "${!table[@]}" | sort | head -100); do echo "$key ${table[$key]}"; done
diff <(seq 1 5000) <(seq 1 5000 | grep -v 7) | tail -20
"""


def coreutils(session):
    session.run("pipelines", "bash", "-c", PIPELINES)


CASES = {
    "g++": Case(gxx, ("cc1plus", "as", "g++"), ("g++",)),
    "self_host": Case(self_host, ("cc1plus",), ("g++",)),
    "self_build": Case(self_build, ("cmake", "ninja", "g++", "cc1plus", "as", "ar", "collect2", "ld"),
                       ("cmake", "ninja", "g++")),
    "git": Case(git, ("git",), ("git",)),
    "gs": Case(gs, ("gs",), ("gs",)),
    "coreutils": Case(coreutils, ("bash", "sort", "awk", "sed"), ("bash", "awk", "tar", "gzip")),
}
