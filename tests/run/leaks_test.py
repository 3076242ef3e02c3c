#!/usr/bin/env python3
"""`tenure leaks` on leaks that were planted, and on what is none: leaks_test.py TENURE LIBRARY PLANTED_LEAKS.

valgrind's memcheck looks at the same program; where it is installed, the two must agree.
"""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time
import unittest

from recording_case import KNOWN, LIBRARY, TENURE, RecordingCase

# By the function that planted it: kind, blocks, bytes as requested.
PLANTED = {
    "plant_lost_pointer": {"definite": (1, 100)},
    "plant_lost_large_block": {"definite": (1, 3 << 20)},
    "plant_circle": {"definite": (1, 48), "indirect": (1, 48)},
    "plant_chain": {"definite": (1, 48), "indirect": (2, 3048)},
    "plant_inside_only": {"possible": (1, 200)},
    "plant_in_thread": {"definite": (1, 777)},
}
COUNTS = {"definite": 5, "indirect": 3, "possible": 1}


def planted_function(site):
    names = [frame["function"].split("(")[0].split("::")[-1] for frame in site["stack"]]
    full = [frame["function"] for frame in site["stack"]]
    for name in full:
        found = re.search(r"(plant_\w+|hold_\w+)", name)
        if found:
            return found[1]
    return names[0] if names else None


class LeaksCase(RecordingCase):
    def leaks(self, *words, code=0):
        answer = self.folder / "leaks.json"
        self.tenure("leaks", "--json", "-o", answer, *words, code=code)
        return json.loads(answer.read_text())

    def refused(self, *words, code, sentence):
        done = self.tenure("leaks", *words, code=code)
        self.assertIn(sentence, done.stderr.decode())
        self.assertEqual(done.stderr.count(b"\n"), 1, done.stderr)
        self.assertEqual(done.stdout, b"")


class AtExitTest(LeaksCase):
    def test_every_planted_leak_is_found_and_no_other(self):
        process, = self.leaks("--", KNOWN, "end")["processes"]
        found = {}
        for site in process["sites"]:
            kinds = found.setdefault(planted_function(site), {})
            blocks, size = kinds.get(site["kind"], (0, 0))
            kinds[site["kind"]] = (blocks + site["blocks"], size + site["bytes"])
        self.assertEqual(found, PLANTED)
        for kind, count in COUNTS.items():
            self.assertEqual(process[kind]["blocks"], count, kind)
        self.assertEqual(process["without_stack"]["blocks"], 0)
        self.assertEqual(process["scan"]["unstopped_threads"], 0)
        self.assertEqual(process["scan"]["unread_lists"], 0)
        # new[], the second base class; the start of the counted elements is nowhere.
        self.assertGreaterEqual(process["scan"]["heuristic_blocks"], 2)

    def test_what_a_leaked_block_holds_is_told_with_it(self):
        process, = self.leaks("--", KNOWN, "end")["processes"]
        held = {planted_function(site): (site["held"]["blocks"], site["held"]["bytes"])
                for site in process["sites"] if site["kind"] == "definite"}
        self.assertEqual(held["plant_circle"], (1, 48))
        self.assertEqual(held["plant_chain"][0], 2)
        self.assertGreaterEqual(held["plant_chain"][1], 3048)
        self.assertEqual(held["plant_lost_pointer"], (0, 0))

    def found_by_memcheck(self):
        done = subprocess.run(["valgrind", "--leak-check=full",
                               "--show-leak-kinds=definite,indirect,possible", "--xml=yes",
                               f"--xml-file={self.folder}/vg.xml", KNOWN, "end"], env=self.environment,
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=300)
        self.assertEqual(done.returncode, 0, done.stderr)
        text = (self.folder / "vg.xml").read_text()
        found = {}
        for error in re.findall(r"<error>.*?</error>", text, re.S):
            kind = re.search(r"<kind>Leak_(Definitely|Indirectly|Possibly)Lost</kind>", error)
            size, blocks = (int(re.search(rf"<leaked{what}>(\d+)<", error)[1]) for what in ("bytes", "blocks"))
            planted = re.search(r"<fn>[^<]*?(plant_\w+)", error)
            if kind is None or planted is None:
                continue
            name = {"Definitely": "definite", "Indirectly": "indirect", "Possibly": "possible"}[kind[1]]
            kinds = found.setdefault(planted[1], {})
            kinds[name] = tuple(map(sum, zip(kinds.get(name, (0, 0)), (blocks, size))))
        return found

    @unittest.skipUnless(shutil.which("valgrind"), "needs valgrind")
    def test_memcheck_finds_the_same(self):
        ours = {name: set(kinds) for name, kinds in PLANTED.items()}
        # Under valgrind blocks have addresses below 2^30, and a word of chance (nanoseconds of a clock) may lead into
        # one of 3 MiB; hardly twice.
        for _ in range(3):
            theirs = self.found_by_memcheck()
            if {name: set(kinds) for name, kinds in theirs.items()} == ours:
                break
        # It tells a leader's bytes with those that it holds.
        self.assertEqual({name: set(kinds) for name, kinds in theirs.items()}, ours)
        for name, kinds in PLANTED.items():
            for kind in kinds:
                if kind != "definite":
                    self.assertEqual(theirs[name][kind], kinds[kind], name)

    def test_the_exit_code_is_the_programs_own_or_the_one_asked_for(self):
        self.leaks("--", KNOWN, "fail", code=3)
        self.leaks("--exit-code", "23", "--", KNOWN, "fail", code=3)
        self.leaks("--exit-code", "23", "--", KNOWN, "end", code=23)
        self.leaks("--exit-code", "23", "--", "true", code=0)

    def test_suppressed_leaks_take_along_what_they_hold(self):
        rules = self.folder / "rules"
        rules.write_text("# known\nleak:plant_chain\nleak:plant_lost*\n")
        process, = self.leaks("--suppressions", rules, "--", KNOWN, "end")["processes"]
        self.assertEqual({planted_function(site) for site in process["sites"]},
                         {"plant_circle", "plant_inside_only", "plant_in_thread"})
        self.assertEqual(process["indirect"]["blocks"], 1)
        self.assertGreaterEqual(process["suppressed"]["blocks"], 5)
        rules.write_text("plant_chain\n")
        self.refused("--suppressions", rules, "--", KNOWN, "end", code=2, sentence="line 1 is no rule")

    def test_text_names_function_and_line_and_leaves_the_program_its_output(self):
        done = self.tenure("leaks", "--", KNOWN, "end")
        self.assertEqual(done.stdout, b"")
        text = done.stderr.decode()
        self.assertRegex(text, r"plant_lost_pointer  planted_leaks\.cc:\d+")
        self.assertRegex(text, r"48 B in 1 block, and 3\.0 KiB in 2 blocks that they hold")
        self.assertRegex(text, r"held up for [\d.]+ [mun]?s")

    def test_exit_in_a_handler_that_interrupted_the_heap_is_told(self):
        answer = self.leaks("--", KNOWN, "interrupted", code=5)
        process, = answer["processes"]
        self.assertIn("signal handler called exit()", process["scan"]["refused"])

    def test_each_process_is_looked_through_and_who_was_not_is_named(self):
        script = f"{KNOWN} end; {KNOWN} end; kill -9 $$"
        answer = self.leaks("--", "bash", "-c", script, code=128 + 9)
        scanned = [process for process in answer["processes"] if "scan" in process]
        leaked = [process["definite"]["blocks"] for process in scanned]
        self.assertEqual([blocks for blocks in leaked if blocks], [5, 5])
        self.assertTrue(any("signal" in process.get("unscanned", "") for process in answer["processes"]))

    def test_the_recording_is_kept_and_tells_what_was_never_freed(self):
        self.leaks("--recording", self.recording, "--", KNOWN, "end")
        process, = self.leaks(self.recording)["processes"]
        never = {planted_function(site) for site in process["sites"]}
        # Held blocks are not freed either.
        self.assertTrue(set(PLANTED) < never, never)
        self.assertIn("hold_by_start", never)
        self.assertEqual({site["kind"] for site in process["sites"]}, {"never_freed"})
        one, = self.leaks("--function", "plant_lost_pointer", self.recording)["processes"]
        self.assertEqual((one["never_freed"]["blocks"], one["never_freed"]["bytes"]), (1, 100))
        self.leaks("--exit-code", "9", self.recording, code=9)


class GrowthTest(LeaksCase):
    def test_what_grows_to_the_end_is_suspected_and_what_levels_off_is_not(self):
        self.record(KNOWN, "grow")
        process, = self.leaks(self.recording)["processes"]
        suspects = {re.search(r"(grow|fill)_\w+", site["function"])[0]: site for site in process["suspects"]}
        self.assertEqual(set(suspects), {"grow_without_end", "grow_though_freed"})
        self.assertGreaterEqual(process["judged_functions"], 5)
        # A step allocates 64 + 80 + 112 or so + 128 + 512 bytes.
        one = suspects["grow_without_end"]
        self.assertEqual((one["allocated_blocks"], one["freed_blocks"]), (6000, 0))
        self.assertEqual(one["live"]["bytes"], 6000 * 64)
        expected = 64 / (64 + 80 + 112 + 128 + 512) * (1 << 20)
        self.assertAlmostEqual(one["bytes_per_mib"], expected, delta=expected / 20)
        self.assertTrue(one["bytes_per_mib_low"] <= one["bytes_per_mib"] <= one["bytes_per_mib_high"])
        other = suspects["grow_though_freed"]
        self.assertEqual(other["freed_blocks"], 4500)
        self.assertAlmostEqual(other["bytes_per_mib"], expected * 80 / 64 / 4, delta=expected / 20)

    def test_a_suspect_can_be_suppressed(self):
        self.record(KNOWN, "grow")
        rules = self.folder / "rules"
        rules.write_text("leak:grow_without_end\n")
        process, = self.leaks("--suppressions", rules, self.recording)["processes"]
        one, = process["suspects"]
        self.assertIn("grow_though_freed", one["function"])
        self.assertEqual(one["stack"][0]["function"], one["function"])

    def test_text_gives_the_reasons(self):
        self.record(KNOWN, "grow")
        text = self.tenure("leaks", self.recording).stdout.decode()
        self.assertRegex(text, r"Suspected  live bytes grow to the end")
        self.assertRegex(text, r"KiB stay of each MiB allocated \(.* to .*, 99%\), .* a second; 0.*% of 6000 blocks")
        self.assertRegex(text, r"aged .* on average, the oldest ")


class Planted:
    """The planted program on Tenure's heap, that goes on until it is stopped."""

    def __init__(self, case, threads, refused="", begin="live", **environment):
        self.process = subprocess.Popen([KNOWN, begin, str(threads), refused], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE,
                                        env=dict(case.environment, LD_PRELOAD=LIBRARY, **environment))
        case.addCleanup(self.stop)
        self.pid = self.process.pid
        said = self.process.stdout.readline()
        if not said and self.process.wait(timeout=60) == 77:
            case.skipTest("needs seccomp")
        case.assertEqual(said, b"ready\n")

    def end(self):
        self.process.stdin.close()
        return self.process.wait(timeout=60)

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


class LiveTest(LeaksCase):
    def scan(self, planted, *words):
        # On a busy machine a thread may not get to answer in time.
        for _ in range(20):
            process, = self.leaks("--wait", "100s", *words, str(planted.pid))["processes"]
            if process["scan"]["unstopped_threads"] == 0:
                return process
        return process

    def assert_planted_only(self, process):
        self.assertEqual({kind: process[kind]["blocks"] for kind in COUNTS}, COUNTS)

    def test_what_threads_hold_is_no_leak_and_the_process_goes_on(self):
        planted = Planted(self, 40)
        for _ in range(3):
            process = self.scan(planted)
            self.assert_planted_only(process)
            self.assertEqual(process["scan"]["unstopped_threads"], 0)
            self.assertGreaterEqual(process["scan"]["threads"], 44)
        # The scan's own thread is gone, and nothing of it is left open.
        self.until(lambda: len(os.listdir(f"/proc/{planted.pid}/task")) <= 45, "its thread has ended")
        folder = f"tenure-{os.geteuid()}.{planted.pid}."
        self.assertEqual([name for name in os.listdir("/dev/shm") if name.startswith(folder)], [])
        self.assertEqual(planted.end(), 0)

    def test_stacks_are_those_of_sampled_blocks(self):
        planted = Planted(self, 2, TENURE_SAMPLE_INTERVAL="4096", TENURE_SAMPLE_SPACING="0")
        process = self.scan(planted)
        self.assert_planted_only(process)
        large, = (site for site in process["sites"] if planted_function(site) == "plant_lost_large_block")
        self.assertEqual(large["bytes"], 3 << 20)
        self.assertGreater(large["estimated_bytes"], 0)
        self.assertEqual(planted.end(), 0)

    def test_a_process_that_does_not_allocate_does_not_answer(self):
        sleeping = subprocess.Popen(["sleep", "1000"], env=dict(self.environment, LD_PRELOAD=LIBRARY))
        self.addCleanup(sleeping.wait)
        self.addCleanup(sleeping.kill)
        self.until(lambda: ".bells." in pathlib.Path(f"/proc/{sleeping.pid}/maps").read_text(), "it has started")
        self.until(lambda: ") S " in pathlib.Path(f"/proc/{sleeping.pid}/stat").read_text(), "it sleeps")
        self.refused("--wait", "300ms", str(sleeping.pid), code=70, sentence="did not answer")
        # Whoever looks on is told what is waited for.
        shown = self.on_terminal("leaks", "--wait", "2s", sleeping.pid, code=70)
        self.assertIn(f"waiting for process {sleeping.pid}", shown)
        self.assertIsNone(sleeping.poll())

    def test_a_process_that_is_refused_a_thread_says_so(self):
        planted = Planted(self, 1, refused="thread")
        process, = self.leaks("--wait", "100s", str(planted.pid))["processes"]
        self.assertIn("refused it a thread", process["scan"]["refused"])
        self.assertEqual(planted.end(), 0)

    def test_a_process_that_cannot_write_its_answer_is_not_waited_for(self):
        planted = Planted(self, 1, refused="write")
        self.refused("--wait", "100s", str(planted.pid), code=70, sentence="could not write what it found")
        self.assertEqual(planted.end(), 0)

    def test_a_process_that_becomes_another_program_is_not_waited_for(self):
        planted = Planted(self, 1, begin="become")
        asking = subprocess.Popen([TENURE, "leaks", "--wait", "100s", str(planted.pid)], env=self.environment,
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(asking.kill)
        self.until(lambda: self.is_rung(planted.pid), "its bell is rung")
        planted.process.stdin.write(b"x")
        planted.process.stdin.flush()
        answer, error = asking.communicate(timeout=100)
        self.assertEqual((asking.returncode, answer), (70, b""), error)
        self.assertIn(b"it became another program", error)
        self.assertEqual(planted.process.stdout.readline(), b"ready\n")
        # Who asks now asks that one.
        self.assert_planted_only(self.scan(planted))
        self.assertEqual(planted.end(), 0)

    def is_rung(self, pid):
        for bells in pathlib.Path("/dev/shm").glob(f"tenure-{os.geteuid()}.bells.*"):
            with bells.open("rb") as file:
                file.seek(pid % 4096 * 8)
                if file.read(8) == (pid << 32 | pid << 4).to_bytes(8, "little"):
                    return True
        return False

    def until(self, condition, what):
        for _ in range(6000):
            if condition():
                return
            time.sleep(0.01)
        self.fail("never: " + what)


class BadInputTest(LeaksCase):
    def test_one_subject_and_options_that_fit_it(self):
        self.refused(code=2, sentence="one process, one recording or one command")
        self.refused("1", "--", "true", code=2, sentence="one process, one recording or one command")
        self.refused("0", code=2, sentence="there can be no process 0")
        self.refused("99999999999999", code=2, sentence="there can be no process")
        self.refused("--wait", "1s", "--", "true", code=2, sentence="--wait is of a process")
        self.refused("--recording", "x", "1", code=2, sentence="--recording is of a command")
        self.refused("--window", "1s..2s", "1", code=2, sentence="--window is of a recording or a command")
        self.refused("--exit-code", "300", "--", "true", code=2, sentence="1 to 255")
        self.refused(self.folder / "nothing.tenure", code=2, sentence="nothing.tenure")

    def test_processes_that_cannot_be_looked_through(self):
        ended = subprocess.Popen(["true"])
        ended.wait()
        self.refused(str(ended.pid), code=127, sentence="there is no process")
        plain = subprocess.Popen(["sleep", "1000"], env=self.environment)
        self.addCleanup(plain.wait)
        self.addCleanup(plain.kill)
        self.until_started(plain.pid)
        self.refused(str(plain.pid), code=126, sentence="Tenure is not loaded")

    def until_started(self, pid):
        for _ in range(6000):
            if os.readlink(f"/proc/{pid}/exe").endswith("sleep"):
                return
            time.sleep(0.01)

    def test_programs_that_cannot_be_started_on_the_heap(self):
        self.refused("--", "no-such-program", code=127, sentence="no-such-program")
        source = self.folder / "static.c"
        source.write_text("int main(void) { return 0; }\n")
        program = self.folder / "static"
        subprocess.run(["cc", "-static", "-o", program, source], check=True)
        self.refused("--", program, code=126, sentence="static")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
