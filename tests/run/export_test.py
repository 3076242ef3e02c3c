#!/usr/bin/env python3
"""`tenure export` held against the tools whose formats it writes: export_test.py TENURE LIBRARY KNOWN_PROGRAM.

Oracles: `tenure report` for sums, `go tool pprof`, valgrind's own DHAT viewer (run by node) and DHAT's own figures, and
for speedscope the rules of its published schema, written out below.
"""

import csv
import io
import json
import pathlib
import shutil
import subprocess
import sys
import unittest

from recording_case import KNOWN, RecordingCase

DHAT_VIEWER = pathlib.Path("/usr/libexec/valgrind/dh_view.js")

# The viewer builds its tree from a file that was picked in a page; here without a page.
DHAT_DRIVER = r"""
const fs = require("fs"), vm = require("vm");
const element = () => ({childNodes: [], classList: {add() {}}, appendChild() {}, addEventListener() {}});
const document = {body: element(), createElement: element, createTextNode: element, location: {search: ""}};
const script = fs.readFileSync(process.argv[1], "utf8") + `
gData = JSON.parse(input);
gSelect = {childNodes: gSelectData.map(() => ({})), selectedIndex: 0};
buildTree();
let leaves = 0;
(function count(node) { if (node._kids) node._kids.forEach(count); else ++leaves; })(gRoot);
result = {leaves, bytes: gRoot._totalBytes, blocks: gRoot._totalBlocks, peak: gRoot._atTGmaxBytes,
          end: gRoot._atTEndBytes};`;
const context = {document, window: {}, performance, input: fs.readFileSync(process.argv[2], "utf8"), result: null};
vm.runInNewContext(script, context);
console.log(JSON.stringify(context.result));
"""


class ExportTest(RecordingCase):
    def setUp(self):
        super().setUp()
        self.record(KNOWN, "keep", 4, "churn", 3, "hand", 5)
        self.whole = self.only(self.report())

    def export(self, form, *words, code=0):
        return self.tenure("export", "-f", form, *words, self.recording, code=code).stdout

    def folded(self, *words):
        lines = {}
        for line in self.export("folded", *words).decode().splitlines():
            stack, value = line.rsplit(" ", 1)
            self.assertNotIn(stack, lines)
            lines[stack] = int(value)
        return lines

    def test_folded_lines_sum_to_the_totals(self):
        for value, total in (("alloc", "allocated"), ("peak", "at_moment"), ("inuse", "never_freed")):
            for unit in ("bytes", "blocks"):
                lines = self.folded("--value", value, "--unit", unit)
                self.assertEqual(sum(lines.values()), self.whole[total][unit])
        kept = [stack.split(";") for stack in self.folded("--value", "inuse") if "keep_blocks" in stack]
        self.assertEqual(len(kept), 1)
        # Outermost first, with the function that the compiler inlined, and without the heap's own.
        names = [name.split("(")[0] for name in kept[0]]
        self.assertLess(names.index("main"), names.index("keep_blocks"))
        self.assertNotIn("tenure", ";".join(names))

    def test_folded_takes_the_filters_and_moments_of_report(self):
        lines = self.folded("--value", "alloc", "--unit", "blocks", "--function", "churn_blocks", "--size", "2000")
        self.assertEqual(sum(lines.values()), (3 << 20) // 2000)
        moment = f"{self.whole['duration_ns'] // 2}ns"
        self.assertEqual(sum(self.folded("--at", moment).values()),
                         self.only(self.report("--at", moment))["at_moment"]["bytes"])

    def test_several_processes_are_roots_of_their_own(self):
        self.record("sh", "-c", f"{KNOWN} keep 1; {KNOWN} keep 2 & wait")
        roots = {stack.split(";")[0] for stack in self.folded("--value", "alloc")}
        processes = self.report()["processes"]
        self.assertEqual(len(roots), len({(one["pid"], one["command"].split()[0]) for one in processes}))

    def test_speedscope_follows_the_schema(self):
        document = json.loads(self.export("speedscope", "--value", "alloc"))
        self.assertEqual(document["$schema"], "https://www.speedscope.app/file-format-schema.json")
        self.assertEqual(set(document) - {"$schema", "shared", "profiles", "name", "activeProfileIndex", "exporter"},
                         set())
        frames = document["shared"]["frames"]
        for frame in frames:
            self.assertIsInstance(frame["name"], str)
            self.assertEqual(set(frame) - {"name", "file", "line", "col"}, set())
            self.assertIsInstance(frame.get("file", ""), str)
            self.assertIsInstance(frame.get("line", 1), int)
        totals = {}
        for profile in document["profiles"]:
            self.assertEqual(set(profile), {"type", "name", "unit", "startValue", "endValue", "samples", "weights"})
            self.assertEqual((profile["type"], profile["unit"], profile["startValue"]), ("sampled", "bytes", 0))
            self.assertEqual(len(profile["samples"]), len(profile["weights"]))
            self.assertEqual(profile["endValue"], sum(profile["weights"]))
            for sample in profile["samples"]:
                self.assertTrue(sample)
                self.assertTrue(all(0 <= frame < len(frames) for frame in sample))
            totals[profile["name"].split(",")[0]] = profile["endValue"]
        self.assertEqual(totals, {"allocated": self.whole["allocated"]["bytes"],
                                  "held at the peak": self.whole["at_moment"]["bytes"],
                                  "never freed": self.whole["never_freed"]["bytes"]})
        shown = document["profiles"][document["activeProfileIndex"]]
        self.assertTrue(shown["name"].startswith("allocated"))
        # Outermost first.
        heaviest = shown["samples"][shown["weights"].index(max(shown["weights"]))]
        names = [frames[frame]["name"].split("(")[0] for frame in heaviest]
        self.assertLess(min(names.index(name) for name in names if "_start" in name or "clone" in name),
                        max(names.index(name) for name in names if "_blocks" in name))

    @unittest.skipUnless(shutil.which("node") and DHAT_VIEWER.exists(), "needs node and valgrind's viewer")
    def test_dhats_viewer_builds_its_tree(self):
        file = self.folder / "dhat.json"
        for command in ([KNOWN, "keep", 1, "hand", 1], ["sqlite3", ":memory:", "select hex(randomblob(10000))"]):
            self.record(*command)
            whole = self.only(self.report())
            self.export("dhat", "-o", file)
            done = subprocess.run(["node", "-e", DHAT_DRIVER, DHAT_VIEWER, file], capture_output=True, check=True)
            tree = json.loads(done.stdout)
            self.assertEqual((tree["bytes"], tree["blocks"]),
                             (whole["allocated"]["bytes"], whole["allocated"]["blocks"]))
            self.assertEqual((tree["peak"], tree["end"]),
                             (whole["at_moment"]["bytes"], whole["never_freed"]["bytes"]))
            self.assertGreater(tree["leaves"], 3)

    def test_dhats_frames_are_innermost_first(self):
        document = json.loads(self.export("dhat"))
        outermost = {document["ftbl"][point["fs"][-1]].split(": ")[1] for point in document["pps"]}
        self.assertTrue(any(frame.startswith("_start") for frame in outermost), outermost)

    @unittest.skipUnless(shutil.which("valgrind") and shutil.which("sqlite3"), "needs valgrind and sqlite3")
    def test_figures_are_dhats(self):
        command = ["sqlite3", ":memory:", "create table t(a); insert into t values (hex(zeroblob(3000)));"]
        self.record(*command)
        ours = json.loads(self.export("dhat"))
        file = self.folder / "theirs.json"
        subprocess.run(["valgrind", "--tool=dhat", f"--dhat-out-file={file}", "--run-libc-freeres=no",
                        "--run-cxx-freeres=no", *command], capture_output=True, check=True, timeout=200)
        theirs = json.loads(file.read_text())
        for field in ("tb", "tbk", "gb", "gbk", "eb", "ebk"):
            self.assertEqual(sum(point[field] for point in ours["pps"]), sum(point[field] for point in theirs["pps"]),
                             field)
        self.assertLessEqual(set(theirs) - {"bu"}, set(ours) | {"bu"})
        for point in ours["pps"]:
            self.assertLessEqual(point["gb"], point["mb"])
            self.assertLessEqual(point["mb"], point["tb"])

    def test_csv_has_a_row_a_stack(self):
        text = self.export("csv").decode()
        self.assertTrue(text.endswith("\r\n"))
        rows = list(csv.DictReader(io.StringIO(text, newline="")))
        for column, total in (("allocated", "allocated"), ("freed", "freed"), ("moment", "at_moment"),
                              ("never_freed", "never_freed"), ("freed_by_another_thread", "freed_by_another_thread")):
            for unit in ("bytes", "blocks"):
                self.assertEqual(sum(int(row[f"{column}_{unit}"]) for row in rows), self.whole[total][unit])
        kept = [row for row in rows if row["function"].startswith("keep_blocks") and row["never_freed_blocks"] != "0"]
        self.assertEqual([int(row["never_freed_blocks"]) for row in kept], [(4 << 20) // 1000])
        self.assertIn("keep_blocks", kept[0]["stack"])
        self.assertTrue(all(None not in row and None not in row.values() for row in rows))

    @unittest.skipUnless(shutil.which("go"), "needs go")
    def test_pprof_is_read_by_go(self):
        file = self.folder / "heap.pb.gz"
        for value, in_use in (("peak", "at_moment"), ("inuse", "never_freed"), ("alloc", "at_moment")):
            self.export("pprof", "--value", value, "-o", file)
            for index, total, unit in (("alloc_space", "allocated", "bytes"), ("inuse_space", in_use, "bytes"),
                                       ("alloc_objects", "allocated", "blocks")):
                done = subprocess.run(["go", "tool", "pprof", "-symbolize=none", "-raw", file],
                                      env={**self.environment, "HOME": str(self.folder)}, capture_output=True,
                                      check=True, text=True)
                lines = done.stdout.splitlines()
                types = lines[lines.index("Samples:") + 1].split()
                column = [name.split("/")[0] for name in types].index(index)
                values = [int(line.split(":")[0].split()[column]) for line in lines[:lines.index("Locations")]
                          if line and line.split(":")[0].replace(" ", "").isdigit()]
                self.assertEqual(sum(values), self.whole[total][unit], (value, index))
            shown = "alloc_space" if value == "alloc" else "inuse_space"
            self.assertIn(f"{shown}/bytes[dflt]", types)

    def test_what_was_freed_is_told_by_the_stacks_that_freed_it(self):
        self.assertNotIn("freed_by", self.whole["by_function"][0])
        self.assertEqual({row["frees_blocks"] for row in self.rows()}, {""})
        self.record(KNOWN, "keep", 1, "churn", 2, "hand", 5, options=("--free-stacks",))
        whole = self.only(self.report())
        freed = whole["freed"]
        lines = self.folded("--value", "freed")
        self.assertEqual(sum(lines.values()), freed["bytes"])
        # Most blocks of make_blocks are freed by another function, on another thread.
        made = next(group for group in whole["by_function"] if group["name"].startswith("make_blocks"))
        self.assertEqual(made["freed_by"][0]["name"], "main")
        self.assertEqual(sum(one["freed"]["blocks"] for one in made["freed_by"]), made["freed"]["blocks"])
        rows = self.rows()
        self.assertEqual(sum(int(row["frees_blocks"]) for row in rows), freed["blocks"])
        self.assertEqual(sum(int(row["allocated_blocks"]) for row in rows), whole["allocated"]["blocks"])
        profiles = json.loads(self.export("speedscope"))["profiles"]
        self.assertEqual([one["endValue"] for one in profiles if one["name"].startswith("freed here")],
                         [freed["bytes"]])
        self.assertIn(b"Who frees it", self.tenure("report", self.recording).stdout)
        if shutil.which("go"):
            self.export("pprof", "-o", self.folder / "heap.pb.gz")
            said = subprocess.run(["go", "tool", "pprof", "-raw", self.folder / "heap.pb.gz"], capture_output=True,
                                  text=True, check=True, timeout=200).stdout
            self.assertIn("free_space/bytes", said)

    def rows(self):
        return list(csv.DictReader(io.StringIO(self.export("csv").decode(), newline="")))

    def test_wrong_input_is_one_sentence(self):
        for words, code, sentence in (
                (["export", self.recording], 2, b"needs a format"),
                (["export", "-f", "svg", self.recording], 2,
                 b"--format takes folded, speedscope, dhat, heaptrack, csv or pprof"),
                (["export", "-f", "folded", "--value", "freed", self.recording], 2, b"record it with --free-stacks"),
                (["export", "-f", "csv"], 2, b"needs one recording"),
                (["export", "-f", "csv", "--process", "1", self.recording], 2, b"has no process 1"),
                (["export", "-f", "csv", self.folder / "nothing"], 2, b"cannot be read"),
                (["export", "-f", "csv", "-o", self.folder / "no" / "where", self.recording], 2, b"no folder")):
            done = self.tenure(*words, code=code)
            self.assertEqual((done.stdout, done.stderr.count(b"\n")), (b"", 1), done.stderr)
            self.assertIn(sentence, done.stderr)

    def test_a_recording_that_was_cut_off_is_exported_as_far_as_it_goes(self):
        self.recording.write_bytes(self.recording.read_bytes()[:-20])
        done = self.tenure("export", "-f", "folded", "--value", "alloc", self.recording, code=1)
        self.assertIn(b"damaged", done.stderr)
        self.assertIn(b"keep_blocks", done.stdout)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
