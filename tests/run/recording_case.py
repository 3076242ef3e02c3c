"""What the tests of recordings share: a program recorded, and what the commands say of it.

The test programs are called with TENURE LIBRARY KNOWN_PROGRAM.
"""

import json
import os
import pathlib
import pty
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import unittest

TENURE, LIBRARY, KNOWN = sys.argv[1:4]


class RecordingCase(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="tenure-record-test."))
        self.environment = dict(os.environ, TENURE_LIBRARY=LIBRARY, XDG_CACHE_HOME=str(self.folder / "cache"))
        self.environment.pop("LD_PRELOAD", None)
        self.recording = self.folder / "run.tenure"

    def tearDown(self):
        shutil.rmtree(self.folder)

    def record(self, *command, code=0, options=()):
        return self.tenure("record", "-q", *options, "-o", self.recording, "--", *command, code=code)

    def tenure(self, *words, code=0, most_bytes=None, stdout=subprocess.PIPE):
        def limit_files():
            if most_bytes is not None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))

        done = subprocess.run([TENURE, *map(str, words)], env=self.environment, stdin=subprocess.DEVNULL,
                              stdout=stdout, stderr=subprocess.PIPE, timeout=120, preexec_fn=limit_files)
        self.assertEqual(done.returncode, code, done.stderr)
        return done

    def on_terminal(self, *words, code=0):
        """What the command writes to standard error where that is a terminal."""
        outer, inner = pty.openpty()
        with subprocess.Popen([TENURE, *map(str, words)], env=self.environment, stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL, stderr=inner) as child:
            os.close(inner)
            text = b""
            while True:
                try:
                    part = os.read(outer, 65536)
                except OSError:
                    break
                if not part:
                    break
                text += part
            child.wait(timeout=120)
        os.close(outer)
        self.assertEqual(child.returncode, code, text)
        return text.decode()

    def start_planted(self, **environment):
        """The program on Tenure's heap, that goes on until the test ends, and what it said until it was ready."""
        planted = subprocess.Popen([KNOWN, "live"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   env=dict(self.environment, LD_PRELOAD=LIBRARY, **environment))
        self.addCleanup(planted.stdout.close)
        self.addCleanup(planted.wait)
        self.addCleanup(planted.kill)
        self.addCleanup(planted.stdin.close)
        said = ""
        while "ready" not in said:
            line = planted.stdout.readline().decode()
            self.assertTrue(line, "it ended")
            said += line
        return planted, said

    def report(self, *words, code=0):
        return json.loads(self.tenure("report", "--json", *words, self.recording, code=code).stdout)

    def only(self, document):
        self.assertEqual(len(document["processes"]), 1)
        return document["processes"][0]

    def assert_exact(self, process):
        self.assertEqual(process["lost"]["allocations"] + process["lost"]["frees"], 0)
        self.assertEqual(process["stray_frees"], 0)
        self.assertTrue(process["is_complete"])
        for figure in ("blocks", "bytes"):
            for name in ("allocated", "freed", "never_freed", "at_moment"):
                self.assertEqual(process[name][figure],
                                 sum(group[name][figure] for group in process["by_function"]), (name, figure))
            self.assertEqual(process["never_freed"][figure],
                             process["allocated"][figure] - process["freed"][figure])

    def counted_by_valgrind(self, *command):
        done = subprocess.run(["valgrind", "--run-libc-freeres=no", "--run-cxx-freeres=no", *map(str, command)],
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=200, check=True)
        found = re.search(rb"total heap usage: ([\d,]+) allocs, ([\d,]+) frees, ([\d,]+) bytes", done.stderr)
        return tuple(int(figure.replace(b",", b"")) for figure in found.groups())
