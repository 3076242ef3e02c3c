#!/usr/bin/env python3
"""`tenure import` held against the tools it imports from: import_test.py TENURE LIBRARY KNOWN_PROGRAM.

Oracles: heaptrack_print on the same file, and `tenure record` of the same program.
"""

import gzip
import json
import pathlib
import re
import shutil
import subprocess
import sys
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

from protobuf_bytes import field, fields_of, varint  # noqa: E402 (the path must be set first)
from import_case import WORDS, ImportCase, sums  # noqa: E402
from recording_case import KNOWN  # noqa: E402


@unittest.skipUnless(shutil.which("heaptrack") and shutil.which("heaptrack_print"), "needs heaptrack")
class HeaptrackTest(ImportCase):
    def setUp(self):
        super().setUp()
        done = subprocess.run(["heaptrack", "-o", self.folder / "data", KNOWN, *map(str, WORDS)],
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=200)
        files = [path for path in self.folder.iterdir() if path.name.startswith("data.")]
        if done.returncode != 0 or len(files) != 1:
            self.skipTest("heaptrack cannot run here")
        self.data = files[0]

    def test_every_stack_has_the_sums_of_heaptrack_print(self):
        self.take(self.data)
        self.assert_printed(self.imported)

    def test_figures_are_those_of_heaptrack_print_and_of_a_recording(self):
        self.take(self.data)
        document = self.report_of(self.imported)
        process = self.only(document)
        self.assert_exact(process)
        printed = self.print("-p", "0", "-a", "0", "-T", "0")
        calls = int(re.search(r"calls to allocation functions: (\d+)", printed)[1])
        self.assertEqual(process["allocated"]["blocks"], calls)
        self.assertRegex(document["imported"]["tool"], r"^heaptrack \d+\.\d+\.\d+$")
        self.assertEqual(document["imported"]["not_told"], ["lives", "threads"])
        self.assertNotIn("freed_by_another_thread", process)
        # What the program itself does is the same under both.
        self.record(KNOWN, *WORDS)
        of = {group["name"].split("(")[0]: group for group in self.only(self.report())["by_function"]}
        for group in process["by_function"]:
            name = group["name"].split("(")[0]
            if name.endswith("_blocks"):
                for figure in ("allocated", "freed", "never_freed"):
                    self.assertEqual(group[figure], of[name][figure], (name, figure))
        changed = json.loads(self.tenure("diff", "--json", "--by", "left", self.recording, self.imported).stdout)
        for site in changed["by_function"]:
            if "_blocks" in site["frames"][0]:
                self.assertEqual(site["left_bytes"]["before"], site["left_bytes"]["after"], site["frames"])

    def test_names_are_in_it(self):
        self.take(self.data)
        said = self.tenure("export", "-f", "csv", self.imported).stdout
        shutil.rmtree(self.folder / "cache", ignore_errors=True)
        text = subprocess.run(["zstdcat" if self.data.suffix == ".zst" else "zcat", self.data], capture_output=True)
        if text.returncode == 0:
            moved = text.stdout.replace(str(KNOWN).encode(), b"/" * len(str(KNOWN)))
            (self.folder / "moved.gz").write_bytes(gzip.compress(moved))
            self.take(self.folder / "moved.gz")
            functions = [line.split(b",")[2] for line in said.splitlines()]
            again = self.tenure("export", "-f", "csv", self.imported).stdout
            self.assertEqual([line.split(b",")[2] for line in again.splitlines()], functions)


INTERPRET = pathlib.Path("/usr/lib/heaptrack/libexec/heaptrack_interpret")


@unittest.skipUnless(shutil.which("heaptrack") and INTERPRET.exists() and shutil.which("zstd"), "needs heaptrack")
class RawHeaptrackTest(ImportCase):
    """The same raw data, read here and by heaptrack's own interpreter."""

    def setUp(self):
        super().setUp()
        subprocess.run(["heaptrack", "--raw", "-o", self.folder / "data", KNOWN, *map(str, WORDS)],
                       stdin=subprocess.DEVNULL, capture_output=True, timeout=200, check=True)
        packed, = self.folder.glob("data.raw.*")
        self.raw = subprocess.run(["zstdcat" if packed.suffix == ".zst" else "zcat", packed], capture_output=True,
                                  check=True).stdout
        self.file = packed

    def interpreted(self):
        file = self.folder / "interpreted"
        done = subprocess.run([INTERPRET], input=self.raw, capture_output=True, check=True, timeout=200)
        file.write_bytes(done.stdout)
        return file

    def folded(self, value, unit):
        """Sums by the frames' own names: heaptrack's interpreter leaves scopes and parameters of inlined ones out.

        Of several names of one place in libc, those with an underscore, it takes another.
        """
        text = self.tenure("export", "-f", "folded", "--value", value, "--unit", unit, self.imported).stdout.decode()
        result = {}
        for frames, amount in sums(text).items():
            names = sorted(self.own_name(frame) for frame in frames if "0x" not in frame)
            frames = tuple(name for name in names if not name.startswith("_"))
            result[frames] = result.get(frames, 0) + amount
        return result

    @staticmethod
    def own_name(function):
        for scope in ("(anonymous namespace)::", "(unnamed)::"):
            function = function.replace(scope, "")
        return function.split("(")[0].split("::")[-1].split("<")[0]

    def test_every_stack_has_the_sums_of_heaptracks_interpreter(self):
        measures = (("alloc", "blocks"), ("alloc", "bytes"), ("inuse", "blocks"), ("inuse", "bytes"), ("peak", "bytes"))
        self.take(self.file)
        ours = [self.folded(*measure) for measure in measures]
        totals = self.only(self.report_of(self.imported))
        self.take(self.interpreted())
        expected = [self.folded(*measure) for measure in measures]
        self.assertGreater(len(ours[0]), 5)
        for measure, found, wanted in zip(measures, ours, expected):
            differing = {key: (found.get(key), wanted.get(key)) for key in found.keys() | wanted.keys()
                         if found.get(key) != wanted.get(key)}
            self.assertEqual(differing, {}, measure)
        theirs = self.only(self.report_of(self.imported))
        for figure in ("allocated", "freed", "never_freed", "peak"):
            self.assertEqual(totals[figure], theirs[figure], figure)

    def test_lives_are_known_and_threads_are_not(self):
        self.take(self.file)
        self.assertEqual(self.report_of(self.imported)["imported"]["not_told"], ["threads"])

        def lives(function, size):
            found = json.loads(self.tenure("lifetimes", "--json", "--function", function, "--size", size,
                                           self.imported).stdout)
            return self.only(found)

        kept, churned = lives("keep_blocks", 1000), lives("churn_blocks", 2000)
        self.assertEqual(kept["freed"]["blocks"], 0)
        self.assertEqual(kept["never_freed"]["blocks"], (4 << 20) // 1000)
        self.assertEqual(churned["freed"], churned["allocated"])
        self.assertEqual(churned["allocated"]["blocks"], (3 << 20) // 2000)
        # Each goes before the next one comes.
        self.assertEqual(churned["age_bytes"]["ninth_decile"], 0)
        self.assertIsNone(kept["age_bytes"]["quartile"])

    def test_without_the_program_places_are_told_as_they_lie_in_it(self):
        moved = self.raw.replace(str(KNOWN).encode(), b"/" * (len(str(KNOWN)) - 4) + b"gone")
        (self.folder / "moved").write_bytes(moved)
        self.take(self.folder / "moved")
        functions = [group["name"] for group in self.only(self.report_of(self.imported))["by_function"]]
        self.assertTrue(any(re.fullmatch(r"gone\+0x[0-9a-f]+", name) for name in functions), functions)

    def test_what_is_cut_off_or_makes_no_sense_is_refused(self):
        lines = self.raw.splitlines(keepends=True)
        self.assert_refused(b"".join(lines[:40]) + b"+ 10 ffffff 5\n", b"makes no sense")
        self.assert_refused(b"".join(lines[:40]) + b"+ 10", b"cut off within a line")
        self.assert_refused(b"".join(lines[:40]) + b"s 4 main\n", b"makes no sense")


# Two stacks, main < load and main; the last free is of what nothing says.
TEXT = b"""v 10400 3
X ./made --fast
I 1000 fffff
s 9 /bin/made
s 4 main
s 4 load
s 7 made.cc
i 1000 1 2 4 a
t 1 0
i 2000 1 3 4 14 2 4 b
t 2 1
a 10 2
+ 0
c a
+ 0
+ 0
- 0
a 20 1
+ 1
c 14
- 1
- 1
c 1e
"""


class TextTest(ImportCase):
    def test_a_file_that_was_written_by_hand(self):
        file = self.folder / "made.gz"
        for content in (TEXT, gzip.compress(TEXT), gzip.compress(TEXT[:50]) + gzip.compress(TEXT[50:])):
            file.write_bytes(content)
            self.take(file)
            process = self.only(self.report_of(self.imported))
            self.assertEqual(process["command"], "./made --fast")
            self.assertEqual(process["allocated"], {"blocks": 4, "bytes": 0x50})
            self.assertEqual(process["peak"], {"blocks": 3, "bytes": 0x40})
            self.assertEqual((process["peak_ns"], process["duration_ns"], process["stray_frees"]),
                             (10_000_000, 30_000_000, 1))
            self.assertEqual(process["never_freed"], {"blocks": 2, "bytes": 0x20})
            self.assertEqual({group["name"]: group["allocated"]["bytes"] for group in process["by_function"]},
                             {"load": 0x30, "main": 0x20})
        stacks = self.tenure("export", "-f", "folded", "--value", "alloc", self.imported).stdout
        self.assertEqual(sorted(stacks.splitlines()), [b"main 32", b"main;main;load 48"])

    def test_a_command_line_may_have_lines_that_look_like_others(self):
        file = self.folder / "made"
        file.write_bytes(TEXT.replace(b"X ./made --fast\n", b"X sh -c true\nsleep 5\nI think so\ns 9 nine\nsum = 3\n"))
        self.take(file)
        process = self.only(self.report_of(self.imported))
        self.assertEqual(process["command"], "sh -c true sleep 5 I think so s 9 nine sum = 3")
        self.assertEqual(process["allocated"], {"blocks": 4, "bytes": 0x50})

    def test_few_lines_cannot_ask_for_much_memory(self):
        names = TEXT + b"s 100000 " + b"n" * (1 << 20) + b"\ni 1 1" + b" 5 5 1" * 1000 + b"\n"
        self.assert_refused(names, b"the names of all places are longer than")
        huge = TEXT + b"a 7fffffffffff 1\n" + b"+ 2\n" * 40000
        self.assert_refused(huge, b"more was allocated than any program can")
        self.assert_refused(TEXT + b"a 800000000000 1\n", b"makes no sense")

    def test_standard_input_and_output(self):
        done = subprocess.run([sys.argv[1], "import", "-q", "-o", "-", "-"], input=gzip.compress(TEXT),
                              env=self.environment, capture_output=True, check=True)
        (self.folder / "made").write_bytes(TEXT)
        self.take(self.folder / "made")
        self.assertEqual(done.stdout, self.imported.read_bytes())
        self.assertEqual(done.stderr, b"")

    def test_what_heaptrack_does_not_tell_is_not_answered(self):
        (self.folder / "made").write_bytes(TEXT)
        self.take(self.folder / "made")
        for words, sentence in ((["lifetimes"], b"which of several blocks"),
                                (["report", "--thread", "1"], b"which threads"),
                                (["report", "--window", "1ms.."], b"which of several blocks"),
                                (["leaks", "--thread", "1"], b"which threads"),
                                (["diff", "--thread", "1", self.imported], b"which threads")):
            done = self.tenure(*words, self.imported, code=2)
            self.assertIn(sentence, done.stderr)
        leaks = json.loads(self.tenure("leaks", "--json", self.imported).stdout)
        self.assertEqual(self.only(leaks)["never_freed"], {"blocks": 2, "bytes": 0x20})
        self.tenure("check", "--max-peak", "64", "--max-leak", "32", self.imported)
        self.tenure("check", "--max-peak", "63", self.imported, code=1)
        self.assertEqual(self.only(self.report_of(self.imported, "--at", "5ms"))["at_moment"],
                         {"blocks": 1, "bytes": 0x10})

    def test_wrong_files_are_refused_in_one_sentence(self):
        for content, sentence in (
                (b"", b"it is empty"),
                (b"neither\n", b"is neither heaptrack's data nor a pprof profile"),
                (bytes(range(256)) * 9, b"is neither"),
                (gzip.compress(TEXT)[:-30], b"cut off"),
                (gzip.compress(TEXT)[:-8] + bytes(8), b"damaged"),
                (TEXT[:-8], b"cut off within a line"),
                (b"v 10400\n", b"older than 1.0"),
                (b"v 10400 9\n", b"version 9"),
                (b"v 10400 3\n", b"no allocation"),
                (TEXT + b"+ 7\n", b"line 24 makes no sense: it names a block that was not told"),
                (TEXT + b"t 9 0\n", b"line 24 makes no sense"),
                (TEXT + b"i 1 99\n", b"line 24 makes no sense"),
                (TEXT + b"a 1 ffffffffffffffff\n", b"line 24 makes no sense"),
                (TEXT + b"a fffffffffffffffff 1\n", b"line 24 makes no sense"),
                (TEXT + b"s 9 short\n", b"not as long as it says"),
                (TEXT + b"q\n", b"begins as no line of heaptrack's"),
                (TEXT + b"s " + b"x" * (5 << 20), b"longer than any")):
            self.assert_refused(content, sentence)
        for words, code, sentence in ((["import", "x"], 2, b"needs a file to write to"),
                                      (["import", "-o", self.imported], 2, b"needs one file"),
                                      (["import", "-o", self.imported, self.folder / "nothing"], 2, b"cannot be read"),
                                      (["import", "-o", self.imported, self.folder], 2, b"is a folder"),
                                      (["import", "-o", "/no/where", KNOWN], 2, b"no folder")):
            self.assertIn(sentence, self.tenure(*words, code=code).stderr)
        (self.folder / "made").write_bytes(TEXT)
        self.assertIn(b"/dev/full", self.tenure("import", "-o", "/dev/full", self.folder / "made", code=70).stderr)


class Profile:
    """A pprof profile, put together field by field; its texts stand last."""

    def __init__(self, *types):
        self.texts = [""]
        self.bytes = b"".join(field(1, field(1, self.text(name)) + field(2, self.text(unit))) for name, unit in types)

    def text(self, value):
        if value not in self.texts:
            self.texts.append(value)
        return self.texts.index(value)

    def add(self, number, *parts):
        self.bytes += field(number, b"".join(field(*part) for part in parts))

    def function(self, number, name, file=""):
        self.add(5, (1, number), (2, self.text(name)), (4, self.text(file)))

    def location(self, number, *lines, address=0):
        self.add(4, (1, number), (2, 1), (3, address),
                 *((4, field(1, function) + field(2, line)) for function, line in lines))

    def sample(self, locations, values, packed=True):
        if packed:
            self.add(2, (1, b"".join(map(varint, locations))),
                     (2, b"".join(varint(value & (1 << 64) - 1) for value in values)))
        else:
            self.add(2, *((1, one) for one in locations), *((2, value) for value in values))

    def whole(self):
        return self.bytes + b"".join(field(6, text.encode()) for text in self.texts)


HEAP = (("alloc_objects", "count"), ("alloc_space", "bytes"), ("inuse_objects", "count"), ("inuse_space", "bytes"))


def small_profile(types=HEAP, values=((3, 300, 2, 200), (5, 50, 0, 0), (1, 100, 1, 100))):
    profile = Profile(*types)
    profile.add(3, (1, 1), (2, 0x1000), (3, 0x9000), (4, 0x200), (5, profile.text("/bin/made")))
    profile.function(1, "main", "made.cc")
    profile.function(2, "load", "made.cc")
    profile.function(3, "inlined")
    profile.location(1, (1, 7))
    profile.location(2, (3, 9), (2, 12))  # the innermost first
    profile.location(3, address=0x1234)
    for number, (locations, one) in enumerate(zip(([2, 1], [3, 1], [2, 1]), values)):
        profile.sample(locations, one, packed=number % 2 == 0)
    return profile


class PprofTest(ImportCase):
    def folded(self, recording, value, unit="bytes"):
        text = self.tenure("export", "-f", "folded", "--value", value, "--unit", unit, recording).stdout.decode()
        return dict(line.rsplit(" ", 1) for line in text.splitlines())

    def test_a_profile_that_was_written_by_hand(self):
        file = self.folder / "heap.pb.gz"
        for content in (small_profile().whole(), gzip.compress(small_profile().whole())):
            file.write_bytes(content)
            done = self.take(file)
            self.assertIn(b"300 bytes in use from 2 stacks, told by a pprof profile", done.stderr)
            document = self.report_of(self.imported)
            self.assertEqual(document["imported"]["not_told"], ["lives", "threads", "times", "sizes"])
            process = self.only(document)
            self.assertEqual(process["command"], "made")
            self.assertEqual(process["allocated"], {"blocks": 9, "bytes": 450})
            self.assertEqual(process["at_moment"], {"blocks": 3, "bytes": 300})
            for unknown in ("freed", "never_freed", "peak", "duration_ns", "threads"):
                self.assertNotIn(unknown, process)
            self.assertEqual(self.folded(self.imported, "alloc"),
                             {"main;load;inlined": "400", "main;made+0x434": "50"})
            self.assertEqual(self.folded(self.imported, "peak", "blocks"), {"main;load;inlined": "3"})
        text = self.tenure("report", self.imported).stdout
        self.assertIn(b"in use", text)
        self.assertNotIn(b"never freed", text)
        self.assertNotIn(b"peak", text)

    def test_an_export_comes_back_with_the_same_sums(self):
        self.record(KNOWN, *WORDS)
        whole = self.only(self.report())
        for value, held in (("peak", "at_moment"), ("inuse", "never_freed")):
            file = self.folder / "heap.pb.gz"
            self.tenure("export", "-f", "pprof", "--value", value, "-o", file, self.recording)
            self.take(file)
            process = self.only(self.report_of(self.imported))
            self.assertEqual(process["at_moment"], whole[held])
            self.assertEqual(process["allocated"], whole["allocated"])
            for unit in ("bytes", "blocks"):
                self.assertEqual(self.folded(self.imported, "alloc", unit), self.folded(self.recording, "alloc", unit))
                self.assertEqual(self.folded(self.imported, "peak", unit), self.folded(self.recording, value, unit))
        # And once more: an import is exported as it came.
        again = self.folder / "again.pb.gz"
        self.tenure("export", "-f", "pprof", "-o", again, self.imported)
        sums_before = self.folded(self.imported, "alloc")
        self.take(again)
        self.assertEqual(self.folded(self.imported, "alloc"), sums_before)
        changed = json.loads(self.tenure("diff", "--json", "--by", "blocks", self.recording, self.imported).stdout)
        blocks = changed["totals"]["allocated_blocks"]
        self.assertEqual(blocks["before"], blocks["after"])
        self.assertNotIn("left_bytes", changed["totals"])

    def without_names(self, profile):
        """The profile with its locations' lines, its functions and what says that there are some left out."""
        result = b""
        for number, value in fields_of(profile):
            if number == 4:
                value = b"".join(field(*part) for part in fields_of(value) if part[0] != 4)
            if number == 3:
                value = b"".join(field(*part) for part in fields_of(value) if part[0] < 7)
            result += b"" if number == 5 else field(number, value)
        return result

    def test_places_without_names_are_looked_up_in_their_files(self):
        self.record(KNOWN, *WORDS)
        file = self.folder / "heap.pb.gz"
        self.tenure("export", "-f", "pprof", "--value", "inuse", "-o", file, self.recording)
        bare = self.without_names(gzip.decompress(file.read_bytes()))
        file.write_bytes(bare)
        self.take(file)
        for value in ("alloc", "peak"):
            self.assertEqual(self.folded(self.imported, value),
                             self.folded(self.recording, "alloc" if value == "alloc" else "inuse"))
        # Where the program is not at hand, or is another one, a place is told as it lies in it.
        moved = bare.replace(str(KNOWN).encode(), b"/" * (len(str(KNOWN)) - 4) + b"gone")
        build_id = re.search(rb"Build ID: ([0-9a-f]+)", subprocess.run(["readelf", "-n", KNOWN], capture_output=True,
                                                                       check=True).stdout)[1]
        self.assertIn(build_id, bare)
        for changed, name in ((moved, "gone"), (bare.replace(build_id, build_id[::-1]), pathlib.Path(KNOWN).name)):
            file.write_bytes(changed)
            shutil.rmtree(self.folder / "cache")  # where the names of this build id were kept
            self.take(file)
            stacks = ";".join(self.folded(self.imported, "alloc"))
            self.assertNotIn("keep_blocks", stacks)
            self.assertRegex(stacks, re.escape(name) + r"\+0x[0-9a-f]+")

    @unittest.skipUnless(shutil.which("go"), "needs go")
    def test_a_profile_of_gos(self):
        source = self.folder / "made.go"
        source.write_text(GO)
        file = self.folder / "go.pb.gz"
        built = subprocess.run(["go", "run", source, file], capture_output=True, text=True, timeout=200,
                               env={**self.environment, "HOME": str(self.folder), "GOCACHE": str(self.folder / "go"),
                                    "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=mod", "GO111MODULE": "off"})
        self.assertEqual(built.returncode, 0, built.stderr)
        self.take(file)
        document = self.report_of(self.imported)
        kept = {group["name"]: group for group in self.only(document)["by_function"]}["main.keep"]
        self.assertEqual(kept["at_moment"], {"blocks": 100, "bytes": 100 * 4096})
        self.assertEqual(kept["allocated"], {"blocks": 150, "bytes": 150 * 4096})

    def test_what_a_profile_does_not_tell_is_not_answered(self):
        file = self.folder / "heap.pb"
        file.write_bytes(small_profile().whole())
        self.take(file)
        for words in (["lifetimes"], ["leaks"], ["check", "--max-peak", "1G"], ["report", "--at", "1s"],
                      ["report", "--window", "1s.."], ["report", "--size", "4"], ["report", "--thread", "1"],
                      ["export", "-f", "dhat"], ["export", "-f", "speedscope"],
                      ["diff", "--by", "left", self.imported]):
            done = self.tenure(*words, self.imported, code=2)
            self.assertEqual((done.stdout, done.stderr.count(b"\n")), (b"", 1), done.stderr)
            self.assertIn(b"a pprof profile does not tell", done.stderr)
        self.assertEqual(self.only(self.report_of(self.imported, "--function", "load"))["allocated"]["bytes"], 400)

    def test_a_profile_of_what_is_in_use_alone(self):
        file = self.folder / "heap.pb"
        profile = small_profile((("objects", "count"), ("space", "bytes")), ((2, 200), (0, 0), (1, 100)))
        profile.add(11, (1, profile.text("space")), (2, profile.text("bytes")))
        profile.bytes += field(12, 524288)
        file.write_bytes(profile.whole())
        self.take(file)
        document = self.report_of(self.imported)
        self.assertNotIn("allocated", self.only(document))
        self.assertEqual(document["imported"]["sample_interval_bytes"], 524288)
        self.assertEqual(self.folded(self.imported, "peak"), {"main;load;inlined": "300"})
        self.assertNotIn(b"allocated  ", self.tenure("report", self.imported).stdout)
        for words in (["export", "-f", "pprof"], ["export", "-f", "folded", "--value", "alloc"],
                      ["diff", "--by", "allocated", self.imported]):
            self.assertIn(b"does not tell", self.tenure(*words, self.imported, code=2).stderr)

    def test_wrong_profiles_are_refused_in_one_sentence(self):
        good = small_profile().whole()
        missing = small_profile()
        missing.sample([9], (1, 1, 1, 1))
        negative = small_profile(values=((3, 300, -2, -200),))
        short = small_profile()
        short.sample([1], (1, 1))
        for content, sentence in (
                (good[:-3], b"neither"),
                (gzip.compress(good)[:-9], b"cut off"),
                (b"\x0a\xff\xff\xff\xff\x0f", b"neither"),
                (b"\xff" * 40, b"neither"),
                (small_profile((("cpu", "nanoseconds"),), ((1,),)).whole(), b"without inuse_objects and inuse_space"),
                (missing.whole(), b"names a place that is not in it"),
                (negative.whole(), b"difference of two profiles"),
                (short.whole(), b"values of no type"),
                (Profile(*HEAP).whole(), b"without a sample")):
            self.assert_refused(content, sentence)


GO = """package main

import ("os"; "runtime"; "runtime/pprof")

var kept [][]byte

//go:noinline
func keep(made [][]byte, count int) [][]byte {
    for i := 0; i < count; i++ {
        made = append(made, make([]byte, 4096))
    }
    return made
}

func main() {
    runtime.MemProfileRate = 1
    room, other := make([][]byte, 0, 100), make([][]byte, 0, 50)
    kept = keep(room, 100)
    keep(other, 50)
    runtime.GC()
    runtime.GC()
    file, _ := os.Create(os.Args[1])
    pprof.Lookup("heap").WriteTo(file, 0)
    file.Close()
    runtime.KeepAlive(kept)
}
"""


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
