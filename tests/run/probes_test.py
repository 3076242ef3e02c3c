#!/usr/bin/env python3
"""The static probes of sampled allocations, as gdb sees them: probes_test.py TENURE LIBRARY KNOWN_PROGRAM."""

import json
import math
import re
import shutil
import subprocess
import sys
import unittest

from recording_case import KNOWN, LIBRARY, TENURE, RecordingCase

INTERVAL = 128 << 10
SCRIPT = """
set pagination off
set startup-with-shell off
set breakpoint pending on
break -probe-stap otel_memory:alloc
commands
silent
printf "alloc %lu %lu %lu\\n", $_probe_arg0, $_probe_arg1, $_probe_arg2
continue
end
break -probe-stap otel_memory:free
commands
silent
printf "free %lu\\n", $_probe_arg0
continue
end
run
"""


class ProbesTest(RecordingCase):
    def notes(self):
        text = subprocess.run(["readelf", "--notes", "--wide", LIBRARY], capture_output=True, text=True,
                              check=True).stdout
        return re.findall(r"Provider: (\w+)\s+Name: (\w+)\s+Location: \w+, Base: \w+, Semaphore: (\w+)\s+"
                          r"Arguments: (.*)", text)

    def test_the_library_says_where_they_are(self):
        found = {name: (provider, int(semaphore, 16), arguments.split())
                 for provider, name, semaphore, arguments in self.notes()}
        self.assertEqual(set(found), {"alloc", "free"})
        for name, count in (("alloc", 3), ("free", 1)):
            provider, semaphore, arguments = found[name]
            self.assertEqual(provider, "otel_memory")
            self.assertNotEqual(semaphore, 0)
            # Eight bytes each, in a register.
            self.assertEqual(len(arguments), count)
            for one in arguments:
                self.assertRegex(one, r"^-?8@%?[a-z]\w*$")

    @unittest.skipUnless(shutil.which("gdb"), "needs gdb")
    def test_a_debugger_sees_every_sample_and_its_end(self):
        script = self.folder / "script.gdb"
        script.write_text(SCRIPT)
        answer = self.folder / "report.json"
        self.environment.update(TENURE_SAMPLE_INTERVAL=str(INTERVAL), TENURE_SAMPLE_SPACING="0")
        done = subprocess.run([TENURE, "run", "--json", "-o", answer, "--", "gdb", "-nx", "-batch", "-x", script,
                               "--args", KNOWN, "keep", "2", "churn", "4", "hand", "3"], env=self.environment,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=250)
        self.assertIn("exited normally", done.stdout, done.stdout + done.stderr)
        program = next(one for one in json.loads(answer.read_text())["processes"]
                       if one["command"][0] == KNOWN and one["origin"] == "exec")
        alive, ended, weights = {}, {}, 0
        for line in done.stdout.splitlines():
            name, _, rest = line.partition(" ")
            figures = [int(one) for one in rest.split()] if name in ("alloc", "free") else []
            if name == "alloc":
                address, size, weight = figures
                self.assertNotIn(address, alive)
                alive[address] = size
                weights += 1
                # size / p where p is the chance that a block of its class meets a sample.
                for usable in (size, size * 1.26 + 16):
                    bound = size / -math.expm1(-usable / INTERVAL)
                    self.assertTrue(weight <= bound + 1 if usable == size else weight >= bound - 1, line)
            elif name == "free":
                size = alive.pop(figures[0])
                ended[size] = ended.get(size, 0) + 1
        left = {size: list(alive.values()).count(size) for size in set(alive.values())}
        self.assertEqual(weights, program["sampling"]["samples"])
        self.assertEqual(left.get(2000, 0) + left.get(3000, 0), 0)
        self.assertEqual(ended.get(1000, 0), 0)
        for size, group in ((1000, left), (2000, ended), (3000, ended)):
            self.assertGreater(group.get(size, 0), 0, (left, ended))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
