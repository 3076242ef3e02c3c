#!/usr/bin/env python3
"""Whose malloc a program calls, and what is said where it is not Tenure's:
engagement_test.py TENURE LIBRARY KNOWN_PROGRAM.
"""

import json
import pathlib
import subprocess
import sys
import unittest

from recording_case import KNOWN, LIBRARY, RecordingCase

MEBIBYTE = 1 << 20
OWN_MALLOC = """
#define _GNU_SOURCE
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
static char* memory;
static size_t used;
void* malloc(size_t bytes) {
  if (memory == NULL) memory = mmap(NULL, 1 << 28, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  char* block = memory + used;
  used += (bytes + 15) / 16 * 16;
  return block;
}
void free(void* block) { (void)block; }
void* calloc(size_t count, size_t bytes) { return malloc(count * bytes); }
void* realloc(void* block, size_t bytes) {
  void* moved = malloc(bytes);
  if (block != NULL) memcpy(moved, block, bytes);
  return moved;
}
int main(void) {
  for (int i = 0; i < 64; ++i) memset(malloc(1 << 20), 1, 1 << 20);
  return 0;
}
"""
LINKED = """
#include <stdlib.h>
#include <string.h>
int main(void) {
  for (int i = 0; i < 64 * 1024; ++i) {
    char* volatile block = malloc(1024);
    memset(block, 1, 1024);
  }
  return 0;
}
"""


class EngagementTest(RecordingCase):
    def built(self, name, source, *more):
        program = self.folder / name
        subprocess.run(["cc", "-x", "c", "-O1", "-o", program, "-", *more], input=source.encode(), check=True)
        return program

    def watched(self, *words):
        path = self.folder / "report.json"
        self.tenure("run", "--json", "-o", path, *words)
        document = json.loads(path.read_text())
        return document["run"], document["processes"][document["run"]["main_process"]]

    def test_run_says_that_malloc_is_the_programs_own(self):
        program = self.built("own", OWN_MALLOC)
        run, process = self.watched("--", program)
        self.assertFalse(run["engaged"])
        self.assertEqual((process["malloc"], process["sampling"]["samples"]), ("other", 0))
        self.assertGreater(process["peak_resident_bytes"], 64 * MEBIBYTE)
        for options in ((), ("--sample-interval", "0"), ("--full",)):
            said = self.tenure("run", *options, "--", program).stderr.decode()
            text = " ".join(said.split())
            self.assertTrue(text.startswith(f"tenure: '{program}' brings a malloc of its own"), said)
            self.assertIn("Tenure did not engage: malloc is not Tenure's here", text)
            self.assertIn(": malloc is not Tenure's here, but the program's own", text)
            self.assertIn("were mapped by the program itself, outside the heap", text.split("Findings")[1])
        self.assertEqual(self.watched("--", KNOWN, "keep", 1)[1]["malloc"], "tenure")

    def test_record_says_that_malloc_is_the_programs_own(self):
        said = self.record(self.built("own", OWN_MALLOC)).stderr.decode()
        self.assertIn("the recording has none of its allocations", " ".join(said.split()))

    def test_doctor_looks_for_malloc_in_the_program(self):
        answer = self.tenure("doctor", "--json", "--", self.built("own", OWN_MALLOC), code=1)
        program = json.loads(answer.stdout)["program"]
        self.assertFalse(program["can_engage"])
        self.assertIn("brings a malloc of its own", program["reason"])

    def test_a_program_that_brings_tenure_along_is_watched(self):
        linked = pathlib.Path(LIBRARY).parent / "tenure-malloc.o"
        program = self.built("linked", LINKED, "-x", "none", linked, "-lpthread", "-ldl")
        subprocess.run(["strip", program], check=True)
        self.tenure("doctor", "--", program)
        run, process = self.watched("--sample-interval", "64K", "--", program)
        self.assertTrue(run["engaged"])
        self.assertEqual(process["malloc"], "tenure")
        live = process["live_at_exit"]["bytes"]
        self.assertLess(abs(live["value"] - 64 * MEBIBYTE), 5 * live["standard_error"], live)
        self.assertNotIn(b"brings a malloc", self.tenure("run", "--", program).stderr)

    def test_a_library_without_malloc_is_refused(self):
        library = pathlib.Path(LIBRARY).parent / "libtenure.so"
        refused = self.tenure("run", "--preload", library, "--", "true", code=70).stderr.decode()
        self.assertRegex(refused, "^tenure: '.*' defines no malloc")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[4:], verbosity=2)
