#!/usr/bin/env python3
"""`tenure attach` on processes that were started without a session: attach_test.py TENURE LIBRARY KNOWN_PROGRAM.

The known program goes on when it is told to, so each step's counts are known however long anything takes.
"""

import fcntl
import json
import os
import pathlib
import shutil
import signal
import struct
import subprocess
import sys
import time
import unittest

from recording_case import KNOWN, LIBRARY, TENURE, RecordingCase

SHARED = pathlib.Path("/dev/shm")
REGION_VERSION = 9
SETTLED = 5000
KEPT = (1 << 20) // 1000  # blocks to a MiB of them


def bells_file(version=REGION_VERSION, user=os.geteuid()):
    return SHARED / f"tenure-{user}.bells.{version}"


def folder_of(pid):
    return SHARED / f"tenure-{os.geteuid()}.{pid}.attached"


def maps_of(pid):
    return pathlib.Path(f"/proc/{pid}/maps").read_text()


class Program:
    """The known program on Tenure's heap, by its steps."""

    def __init__(self, case, *words):
        self.process = subprocess.Popen([KNOWN, *map(str, words)], env=case.preloaded, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, bufsize=0)
        case.addCleanup(self.stop)
        self.pid = self.process.pid
        case.until(lambda: ".bells." in maps_of(self.pid), "it has started")

    def reached(self, step):
        line = self.process.stdout.readline()
        if line != b"%d\n" % step:
            raise AssertionError(f"step {step}: {line}")

    def go_on(self):
        self.process.stdin.write(b"\n")

    def to(self, step):
        self.go_on()
        self.reached(step)

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


@unittest.skipUnless(SHARED.is_dir(), "needs /dev/shm")
class AttachTest(RecordingCase):
    def setUp(self):
        super().setUp()
        self.preloaded = dict(self.environment, LD_PRELOAD=LIBRARY)

    def until(self, condition, what):
        for _ in range(12000):
            if condition():
                return
            time.sleep(0.01)
        self.fail("never: " + what)

    def is_attended(self, pid):
        # Whether the folder's maker, who holds its lock, is there.
        try:
            folder = os.open(folder_of(pid), os.O_RDONLY)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(folder, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(folder)
        return False

    def is_rung(self, pid, user=os.geteuid()):
        word = bells_file(user=user).read_bytes()[pid % 4096 * 8:][:8]
        return struct.unpack("<Q", word)[0] == pid << 32 | pid << 4

    def attach(self, pid, *words):
        """Attaches and returns when the process has been told."""
        process = subprocess.Popen([TENURE, "attach", str(pid), *map(str, words)], env=self.environment,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(self.end, process)
        self.until(lambda: process.poll() is not None or (self.is_rung(pid) and self.is_attended(pid)),
                   "the bell")
        self.assertIsNone(process.poll())
        return process

    def end(self, process):
        if process.poll() is None:
            process.kill()
        process.communicate()

    def finish(self, process, code=0, stop=signal.SIGINT):
        if stop is not None:
            process.send_signal(stop)
        out, err = process.communicate(timeout=120)
        self.assertEqual(process.returncode, code, err)
        return out, err

    def assert_left(self, pid):
        self.until(lambda: ".region" not in maps_of(pid) and ".tape" not in maps_of(pid), "the process has left")
        self.assertFalse(folder_of(pid).exists())
        self.assertFalse(self.is_rung(pid))

    def refused(self, pid, code, sentence):
        done = self.tenure("attach", pid, code=code)
        self.assertIn(sentence, done.stderr)
        self.assertEqual(done.stderr.count(b"\n"), 1)
        self.assertEqual(done.stdout, b"")

    # What is recorded.

    def test_counts_are_the_programs_own_and_the_process_is_as_before(self):
        program = Program(self, "keep", 1, "settle", SETTLED, "await", 1, "settle", SETTLED, "await", 2, "keep", 2,
                          "churn", 3, "hand", 5, "release", 500, "await", 3, "settle", SETTLED, "await", 4)
        program.reached(1)
        descriptors = sorted(os.listdir(f"/proc/{program.pid}/fd"))
        threads = len(os.listdir(f"/proc/{program.pid}/task"))
        attached = self.attach(program.pid, "-q", "-o", self.recording)
        program.to(2)
        self.assertIn(".tape", maps_of(program.pid))
        # Not one thread or descriptor more while it is attached to either.
        self.assertEqual(sorted(os.listdir(f"/proc/{program.pid}/fd")), descriptors)
        self.assertEqual(len(os.listdir(f"/proc/{program.pid}/task")), threads)
        program.to(3)
        self.finish(attached)
        process = self.only(self.report())
        self.assertEqual(process["origin"], "attached")
        self.assertEqual(process["lost"]["allocations"] + process["lost"]["frees"], 0)
        self.assertTrue(process["is_complete"])
        blocks = {name: self.only(self.report("--function", name, "--size", size))["allocated"]["blocks"]
                  for name, size in (("keep_blocks", 1000), ("churn_blocks", 2000), ("make_blocks", 3000))}
        self.assertEqual(blocks, {"keep_blocks": (2 << 20) // 1000, "churn_blocks": (3 << 20) // 2000,
                                  "make_blocks": (5 << 20) // 3000})
        # The newest 500 of what was kept are of the time of the recording.
        kept = self.only(self.report("--function", "keep_blocks", "--size", "1000"))
        self.assertEqual(kept["never_freed"]["blocks"], (2 << 20) // 1000 - 500)
        handed = self.only(self.report("--size", "3000", "--function", "make_blocks"))
        self.assertEqual(handed["freed_by_another_thread"], handed["allocated"])
        # It sleeps: it leaves when it wakes.
        program.to(4)
        self.assert_left(program.pid)
        self.assertEqual(sorted(os.listdir(f"/proc/{program.pid}/fd")), descriptors)

    def test_stacks_of_frees_are_switched_on_by_the_attacher(self):
        program = Program(self, "settle", SETTLED, "await", 1, "settle", SETTLED, "await", 2, "hand", 5, "await", 3,
                          "settle", SETTLED, "await", 4, "settle", SETTLED, "await", 5, "hand", 5, "await", 6)
        for step, options in ((1, ("--free-stacks",)), (4, ())):
            program.reached(step)
            attached = self.attach(program.pid, "-q", *options, "-o", self.recording)
            program.to(step + 1)
            program.to(step + 2)
            self.finish(attached)
            lives = json.loads(self.tenure("lifetimes", "--json", "--function", "make_blocks", "--size", "3000",
                                           self.recording).stdout)
            process = self.only(lives)
            self.assertEqual(process["freed"]["blocks"], (5 << 20) // 3000)
            self.assertEqual("by_free_site" in process, bool(options))
            if options:
                self.assertEqual([(one["freed_in"].split("(")[0], one["is_same_thread"], one["freed"])
                                  for one in process["by_free_site"]], [("main", False, process["freed"])])
                program.go_on()

    def test_frees_of_what_was_there_before_are_counted(self):
        program = Program(self, "keep", 2, "await", 1, "settle", SETTLED, "await", 2, "release", 700, "await", 3)
        program.reached(1)
        attached = self.attach(program.pid, "-q", "-o", self.recording)
        program.to(2)
        program.to(3)
        self.finish(attached)
        process = self.only(self.report())
        # And the block that was in use when recording began, if one was.
        self.assertIn(process["stray_frees"], (700, 701))
        self.assertEqual(self.only(self.report("--function", "keep_blocks"))["allocated"]["blocks"], 0)

    def test_one_process_again_and_again(self):
        words = ["await", 1]
        for step in range(2, 12, 2):
            words += ["settle", SETTLED, "await", step, "keep", 1, "await", step + 1]
        program = Program(self, *words, "settle", SETTLED, "await", 12)
        program.reached(1)
        for step in range(2, 12, 2):
            attached = self.attach(program.pid, "-q", "-o", self.recording)
            program.to(step)
            program.to(step + 1)
            self.finish(attached)
            kept = self.only(self.report("--function", "keep_blocks", "--size", "1000"))
            self.assertEqual(kept["allocated"]["blocks"], KEPT)
        program.to(12)
        self.assert_left(program.pid)

    def test_forked_and_started_programs_are_followed(self):
        program = Program(self, "await", 1, "settle", SETTLED, "await", 2, "fork", 3, "await", 3)
        program.reached(1)
        attached = self.attach(program.pid, "-q", "-o", self.recording)
        program.to(2)
        program.to(3)
        self.finish(attached)
        kept = self.report("--function", "keep_blocks", "--size", "1000")["processes"]
        self.assertEqual(sorted((one["origin"], one["allocated"]["blocks"]) for one in kept),
                         [("attached", 0), ("fork", (3 << 20) // 1000)])

    def test_programs_that_an_attached_shell_starts_are_followed_from_their_beginning(self):
        script = f"echo 1; read x; {KNOWN} keep 2; (exec {KNOWN} keep 1); echo 2; read x"
        with subprocess.Popen(["sh", "-c", script], env=self.preloaded, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              bufsize=0) as shell:
            self.assertEqual(shell.stdout.readline(), b"1\n")
            attached = self.attach(shell.pid, "-q", "-o", self.recording)
            shell.stdin.write(b"\n")
            self.assertEqual(shell.stdout.readline(), b"2\n")
            self.finish(attached)
            shell.kill()
        kept = [(one["origin"], one["allocated"]["blocks"])
                for one in self.report("--function", "keep_blocks", "--size", "1000")["processes"]]
        self.assertEqual(sorted(one for one in kept if one[1] != 0), [("exec", KEPT), ("exec", (2 << 20) // 1000)])

    def test_python_is_recorded(self):
        script = ("import sys\n"
                  "kept = []\n"
                  "for line in sys.stdin:\n"
                  "    for _ in range(int(line)): kept.append(bytes(5000))\n"
                  "    for size in (5000, 6000) * 3000: bytes(size + len(kept) % 7 * 100)\n"
                  "    print(len(kept), flush=True)\n")
        environment = dict(self.preloaded, PYTHONMALLOC="malloc")
        with subprocess.Popen([sys.executable, "-c", script], env=environment, stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, bufsize=0) as python:
            python.stdin.write(b"77\n")
            self.assertEqual(python.stdout.readline(), b"77\n")
            attached = self.attach(python.pid, "-q", "-o", self.recording)
            python.stdin.write(b"0\n")
            self.assertEqual(python.stdout.readline(), b"77\n")
            python.stdin.write(b"1234\n")
            self.assertEqual(python.stdout.readline(), b"1311\n")
            self.finish(attached)
            python.kill()
        size = sys.getsizeof(bytes(5000))
        process = self.only(self.report("--size", size))
        self.assertEqual(process["never_freed"]["blocks"], 1234)
        self.assertEqual(process["never_freed"]["bytes"], 1234 * size)

    @unittest.skipUnless(shutil.which("redis-server") and shutil.which("redis-cli"), "needs redis")
    def test_redis_is_recorded_while_it_serves(self):
        socket = self.folder / "redis"
        with subprocess.Popen(["redis-server", "--port", "0", "--unixsocket", socket, "--save", "", "--dir",
                               self.folder], env=self.preloaded, stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL) as server:
            self.addCleanup(server.kill)
            self.until(socket.exists, "the socket")

            def ask(*words, text=None):
                return subprocess.run(["redis-cli", "-s", socket, *words], input=text, capture_output=True,
                                      env=self.environment, check=True, timeout=120).stdout

            def store(names, value):
                ask("--pipe", text="".join(f"SET {name} {value}\r\n" for name in names).encode())

            store((f"before{i}" for i in range(2000)), "v" * 3000)
            attached = self.attach(server.pid, "-q", "-o", self.recording)
            store((f"settling{i}" for i in range(5000)), "v" * 100)
            store((f"after{i}" for i in range(3000)), "v" * 3000)
            self.assertEqual(int(ask("DBSIZE")), 10000)
            self.finish(attached)
            self.assertEqual(ask("PING"), b"PONG\n")
            self.until(lambda: ".tape" not in maps_of(server.pid), "redis has left")
            server.kill()
        process = self.only(self.report("--size", "3001..3020"))
        self.assertEqual(process["lost"]["allocations"], 0)
        self.assertEqual(process["never_freed"]["blocks"], 3000)

    # What is sampled.

    def sampled(self, program, *words):
        attached = self.attach(program.pid, "--json", *words)
        return attached, lambda: json.loads(self.finish(attached)[0])

    def test_a_sampled_report_knows_what_was_there_before(self):
        # However fast it allocates, so that the error is known.
        self.preloaded["TENURE_SAMPLE_SPACING"] = "0"
        program = Program(self, "keep", 64, "await", 1, "settle", SETTLED, "await", 2, "keep", 16, "await", 3,
                          "settle", SETTLED, "await", 4, "settle", SETTLED, "await", 5)
        program.reached(1)
        _, report = self.sampled(program, "--sample-interval", "32K")
        program.to(2)
        program.to(3)
        document = report()
        self.assertTrue(document["run"]["attached"])
        process = self.only(document)
        self.assertEqual(process["origin"], "attached")
        self.assertEqual(process["sampling"]["interval_bytes"], 32 << 10)
        site = [one for one in process["by_function"]["sites"] if one["name"].startswith("keep_blocks")][0]
        live = site["live_at_exit"]["bytes"]
        self.assertLess(abs(live["value"] - (80 << 20)), 6 * live["standard_error"])
        self.assertLess(live["standard_error"], 20 << 20)
        # With the rate as it was before.
        program.to(4)
        self.assert_left(program.pid)
        _, report = self.sampled(program)
        program.to(5)
        self.assertEqual(self.only(report())["sampling"]["interval_bytes"], 512 << 10)

    def test_the_time_is_up(self):
        program = Program(self, "keep", 1, "churn", 1 << 30)
        done = self.tenure("attach", program.pid, "--for", "200ms", "--all")
        self.assertIn(b"attached to process %d for " % program.pid, done.stdout)
        self.assertIn(b"churn_blocks", done.stdout)
        self.assertIsNone(program.process.poll())
        self.assert_left(program.pid)

    def test_a_process_that_sleeps_has_nothing_to_tell(self):
        program = Program(self, "await", 1, "settle", SETTLED, "await", 2)
        program.reached(1)
        done = self.tenure("attach", program.pid, "--for", "100ms")
        self.assertIn(b"Nothing was told", done.stdout)
        self.tenure("attach", program.pid, "--for", "100ms", "-o", self.recording, code=70)
        program.to(2)
        self.assert_left(program.pid)

    # Who dies.

    def test_a_killed_attacher_is_missed(self):
        program = Program(self, "keep", 1, "churn", 1 << 30)
        for words in (("-o", self.recording), ("-o", self.recording, "--when-full", "drop"),
                      ("--sample-interval", "4K")):
            attached = self.attach(program.pid, *words)
            mapped = ".tape" if "-o" in words else ".region"
            self.until(lambda: mapped in maps_of(program.pid), "it is told")
            attached.kill()
            attached.wait()
            self.until(lambda: ".tape" not in maps_of(program.pid) and ".region" not in maps_of(program.pid),
                       "the attacher is missed")
            self.assertFalse(self.is_rung(program.pid))
            self.assertIsNone(program.process.poll())
        if not self.recording.exists():
            return
        self.assertFalse(self.report(code=1)["is_complete"])
        # Whoever comes next clears the folder away.
        self.tenure("attach", program.pid, "--for", "100ms", "-q")
        self.assert_left(program.pid)

    def test_a_successor_takes_over_at_once(self):
        program = Program(self, "await", 1, "settle", SETTLED, "await", 2, "settle", SETTLED, "await", 3, "keep", 1,
                          "await", 4)
        program.reached(1)
        first = self.attach(program.pid, "-o", self.recording)
        program.to(2)
        first.kill()
        first.wait()
        second = self.attach(program.pid, "-q", "-o", self.recording)
        program.to(3)
        program.to(4)
        self.finish(second)
        kept = self.only(self.report("--function", "keep_blocks", "--size", "1000"))
        self.assertEqual(kept["allocated"]["blocks"], KEPT)

    def test_a_killed_program_ends_the_attachment(self):
        program = Program(self, "await", 1, "settle", SETTLED, "await", 2, "keep", 2, "await", 3)
        program.reached(1)
        attached = self.attach(program.pid, "-q", "-o", self.recording)
        program.to(2)
        program.to(3)
        program.process.kill()
        program.process.wait()
        self.finish(attached, stop=None)
        document = self.report()
        self.assertTrue(document["is_complete"])
        kept = self.only(self.report("--function", "keep_blocks", "--size", "1000"))
        self.assertEqual(kept["never_freed"]["blocks"], (2 << 20) // 1000)
        self.assertFalse(folder_of(program.pid).exists())

    # Who is refused.

    def test_a_second_attachment_is_refused(self):
        program = Program(self, "await", 1, "settle", SETTLED, "await", 2, "settle", SETTLED, "await", 3)
        program.reached(1)
        first = self.attach(program.pid, "-q", "-o", self.recording)
        self.refused(program.pid, 126, b"is attached to already")
        program.to(2)
        self.refused(program.pid, 126, b"is attached to already")
        self.finish(first)
        self.tenure("attach", program.pid, "--for", "1ms", "-q")

    def test_a_process_without_tenure_is_told_how_to_load_it(self):
        with subprocess.Popen(["sleep", "1000"], env=self.environment) as sleeper:
            self.until(lambda: "libc" in maps_of(sleeper.pid), "it has started")
            self.refused(sleeper.pid, 126, b"start it as LD_PRELOAD=" + LIBRARY.encode())
            sleeper.kill()
            # Not waited for yet.
            self.until(lambda: "State:\tZ" in pathlib.Path(f"/proc/{sleeper.pid}/status").read_text(), "it has ended")
            self.refused(sleeper.pid, 127, b"has ended")
        self.refused(sleeper.pid, 127, b"there is no process")

    @unittest.skipUnless(shutil.which("cc"), "needs a compiler")
    def test_a_static_program_is_told_what_to_link(self):
        program = self.folder / "static"
        source = b"#include <unistd.h>\nint main() { pause(); }"
        built = subprocess.run(["cc", "-static", "-x", "c", "-", "-o", program], input=source, capture_output=True)
        if built.returncode != 0:
            self.skipTest("no static C library")
        with subprocess.Popen([program], env=self.preloaded) as sleeper:
            self.until(lambda: str(program) in maps_of(sleeper.pid), "it has started")
            self.refused(sleeper.pid, 126, b"statically linked: link it with tenure-malloc.o")
            sleeper.kill()

    def test_another_version_is_refused(self):
        path = bells_file(4)
        self.addCleanup(path.unlink, missing_ok=True)
        path.write_bytes(bytes(32768))
        script = ("import mmap, time\n"
                  f"file = open({str(path)!r}, 'r+b')\n"
                  "held = mmap.mmap(file.fileno(), 0)\n"
                  "print(1, flush=True)\n"
                  "time.sleep(1000)\n")
        with subprocess.Popen([sys.executable, "-c", script], env=self.environment, stdout=subprocess.PIPE) as older:
            self.assertEqual(older.stdout.readline(), b"1\n")
            self.refused(older.pid, 126, b"another version of Tenure")
            older.kill()

    def test_a_process_that_is_watched_is_refused(self):
        with subprocess.Popen([TENURE, "record", "-q", "-o", self.recording, "--", "sh", "-c", "echo $$; read x"],
                              env=self.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as watched:
            pid = int(watched.stdout.readline())
            self.refused(pid, 126, b"is watched already")
            watched.communicate(b"\n", timeout=60)

    @unittest.skipUnless(os.geteuid() == 0 and shutil.which("setpriv"), "needs root and setpriv")
    def test_another_users_process_is_refused(self):
        program = Program(self, "await", 1)
        program.reached(1)
        done = subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", TENURE, "attach",
                               str(program.pid)], env=self.environment, capture_output=True, timeout=60)
        if b"setpriv:" in done.stderr:
            self.skipTest("nobody cannot run the command here")
        self.assertEqual(done.returncode, 126, done.stderr)
        self.assertIn(b"belongs to another user", done.stderr)

    @unittest.skipUnless(os.geteuid() == 0 and shutil.which("setpriv"), "needs root and setpriv")
    def test_root_attaches_to_a_process_of_somebody_else(self):
        words = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "env", f"LD_PRELOAD={LIBRARY}", KNOWN,
                 "await", "1", "settle", str(SETTLED), "await", "2", "keep", "1", "await", "3"]
        with subprocess.Popen(words, env=self.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, bufsize=0) as process:
            if process.stdout.readline() != b"1\n":
                self.skipTest("nobody cannot run the program here")
            attached = subprocess.Popen([TENURE, "attach", str(process.pid), "-q", "-o", self.recording],
                                        env=self.environment, stderr=subprocess.PIPE)
            self.addCleanup(self.end, attached)
            self.until(lambda: attached.poll() is not None or self.is_rung(process.pid, 65534), "the bell")
            for step in (2, 3):
                process.stdin.write(b"\n")
                self.assertEqual(process.stdout.readline(), b"%d\n" % step)
            self.finish(attached)
            process.kill()
        self.assertGreater(self.only(self.report("--function", "keep_blocks"))["allocated"]["blocks"], 0)

    def test_what_makes_no_sense_is_refused_first(self):
        for words, sentence in (((), b"needs the number of a process"), (("x",), b"needs the number of a process"),
                                (("0",), b"needs the number of a process"),
                                (("1", "--last", "1s"), b"give -o FILE as well"),
                                (("1", "--when-full", "drop"), b"give -o FILE as well"),
                                (("1", "--free-stacks"), b"give -o FILE as well"),
                                (("1", "-o", self.recording, "--json"), b"is of a sampled report"),
                                (("1", "--for", "soon"), b"takes a time"), (("1", "--for", "0"), b"more than no time")):
            done = self.tenure("attach", *words, code=2)
            self.assertIn(sentence, done.stderr)
            self.assertEqual(done.stderr.count(b"\n"), 1)
        self.assertFalse(self.recording.exists())


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
