#!/usr/bin/env python3
"""`tenure top` in a terminal of its own: top_test.py TENURE LIBRARY KNOWN_PROGRAM."""

import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
import unittest

from recording_case import KNOWN, LIBRARY, TENURE, RecordingCase

COLUMNS, LINES = 110, 30
PATIENCE = 60


def screen_after(text):
    """What a terminal of xterm's kind shows after it."""
    grid = [[" "] * COLUMNS for _ in range(LINES)]
    row = column = 0
    last = " "
    pieces = r"\x1b\[([0-9;?]*)([@A-Za-z])|(\x1b[()].|\x1b[^\[]|[\x00-\x1a])|(.)"
    for figures, letter, other, plain in re.findall(pieces, text, re.S):
        first, _, second = figures.lstrip("?").partition(";")
        count = int(first or 1)
        if plain or letter == "b":
            for _ in range(count if letter == "b" else 1):
                last = plain or last
                if row < LINES and column < COLUMNS:
                    grid[row][column] = last
                column += 1
        elif other == "\r":
            column = 0
        elif other == "\n":
            row += 1
        elif other == "\b":
            column -= 1
        elif letter == "H":
            row, column = count - 1, int(second or 1) - 1
        elif letter == "d":
            row = count - 1
        elif letter == "G":
            column = count - 1
        elif letter == "C":
            column += count
        elif letter == "X":
            grid[row][column:column + count] = [" "] * len(grid[row][column:column + count])
        elif letter == "K":
            grid[row][column:] = [" "] * len(grid[row][column:])
        elif letter == "J":
            grid = [[" "] * COLUMNS for _ in range(LINES)]
    return "\n".join("".join(line).rstrip() for line in grid)


class Terminal:
    """A terminal with `tenure top` in it."""

    def __init__(self, case, *words, **environment):
        self.case = case
        environment = {**case.environment, "TERM": "xterm", "LC_ALL": "C.UTF-8", **environment}
        self.master, self.slave = pty.openpty()
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
        self.before = termios.tcgetattr(self.slave)
        self.shown = b""
        self.process = subprocess.Popen([TENURE, "top", *map(str, words)], env=environment, stdin=self.slave,
                                        stdout=self.slave, stderr=self.slave, start_new_session=True,
                                        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        case.addCleanup(self.close)

    def close(self):
        self.process.kill()
        self.process.wait()
        os.close(self.master)
        os.close(self.slave)

    def press(self, keys):
        os.write(self.master, keys.encode())

    def read(self, seconds):
        text = b""
        while select.select([self.master], [], [], seconds)[0]:
            try:
                part = os.read(self.master, 65536)
            except OSError:
                break
            if not part:
                break
            text += part
            seconds = 0.05
        self.shown += text
        return text

    def picture(self):
        """The lines that are shown."""
        self.read(0)
        self.press("\x0c")
        return screen_after(self.read(1).decode(errors="replace"))

    def wait_for(self, pattern):
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            picture = self.picture()
            if re.search(pattern, picture):
                return picture
        self.case.fail(f"{pattern} never came:\n{picture}")

    def code(self):
        """What it ends with; the terminal is as it was then."""
        end = time.monotonic() + PATIENCE
        while self.process.poll() is None and time.monotonic() < end:
            self.read(0.1)
        self.case.assertIsNotNone(self.process.returncode, "it does not end")
        self.read(0.1)
        self.case.assertEqual(termios.tcgetattr(self.slave), self.before)
        self.case.assertEqual(self.shown.count(b"\x1b[?1049h"), self.shown.count(b"\x1b[?1049l"))
        return self.process.returncode


class TopTest(RecordingCase):
    def start(self, *words):
        """The known program at a step where it waits, with many samples."""
        environment = dict(self.environment, LD_PRELOAD=LIBRARY, TENURE_SAMPLE_INTERVAL="4096",
                           TENURE_SAMPLE_SPACING="0")
        process = subprocess.Popen([KNOWN, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        self.addCleanup(process.stdin.close)
        return process

    def step(self, process):
        """It has come to its next step, and goes on."""
        self.assertRegex(process.stdout.readline(), rb"\d+\n")
        process.stdin.write(b"\n")
        process.stdin.flush()

    def settled(self):
        """Kept 3 MiB and churned 5, told to whoever attached at the first step; it waits at the last."""
        process = self.start("await", "1", "keep", "3", "charge", "70000", "settle", "2000", "await", "2", "keep", "20",
                             "settle", "2000", "await", "3")
        self.step(process)
        self.assertEqual(process.stdout.readline(), b"2\n")
        return process

    def go_on(self, process):
        process.stdin.write(b"\n")
        process.stdin.flush()

    def test_shows_who_holds_what_and_follows_it(self):
        process = self.settled()
        top = Terminal(self, "--every", "100ms", process.pid)
        # It answers when it next allocates.
        top.wait_for(r"not heard of yet")
        self.go_on(process)
        picture = top.wait_for(r"(?m)^ +2\d\.\d MiB .*keep_blocks")
        self.assertIn(f"tenure top  {process.pid}  {KNOWN}"[:60], picture)
        self.assertRegex(picture, r"(?m)^\[#*=*-* *\] [\d.]+ MiB of [\d.]+ [GM]iB, the (machine|control group's limit)")
        self.assertRegex(picture, r"(?m)^resident .*[▁▂▃▄▅▆▇█]+ +[\d.]+ MiB")
        self.assertRegex(picture, r"(?m)^live .*█ +2\d\.\d MiB")
        self.assertTrue(all(len(line) <= COLUMNS for line in picture.splitlines()), picture)

        # Other tables, and a filter.
        top.press("\t")
        top.wait_for(r"(?m)^ +2\d\.\d MiB .*known_program\.cc:\d+$")
        top.press("\t")
        top.wait_for(r"(?m)^ +2\d\.\d MiB .*run_known_program *$")
        top.press("\t")
        top.wait_for(r"(?m)^ +2\d\.\d MiB .*run_known_progr \(\d+\) *$")
        top.press("\t")
        picture = top.wait_for(r"decoded images \(cache\)")
        self.assertRegex(picture, r"(?m)^ +68\.4 KiB +none .*decoded images")
        top.press("\t/nosuchname")
        top.wait_for(r"filter: nosuchname_")
        self.assertNotIn("keep_blocks", top.wait_for(r"nothing has such a name"))
        top.press("\x1b")
        top.wait_for(r"keep_blocks")

        # The stacks of a row, and back.
        top.press("/keep\r\r")
        picture = top.wait_for(r"2\d\.\d MiB live in [\d.]+ k blocks")
        self.assertRegex(picture, r"(?m)^    keep_blocks.*known_program\.cc:\d+")
        self.assertRegex(picture, r"(?m)^    main  known_program\.cc:\d+")
        top.press("\x1b")
        top.wait_for(r"allocated +per second")
        top.press("?")
        top.wait_for(r"the next table: functions")
        top.press("x")
        top.press("p")
        top.wait_for(r"PAUSED")
        top.press("q")
        self.assertEqual(top.code(), 0)
        # It runs on.
        self.assertIsNone(process.poll())
        self.assertEqual(process.stdout.readline(), b"3\n")
        self.go_on(process)
        self.assertEqual(process.wait(timeout=PATIENCE), 0)

    def test_ends_with_the_process_and_gives_the_terminal_back(self):
        process = self.settled()
        top = Terminal(self, process.pid)
        top.wait_for(r"tenure top")
        process.kill()
        self.assertEqual(top.code(), 0)

    def test_interrupts_and_signals_end_it(self):
        process = self.settled()
        for stop in ("\x03", "\x1c", signal.SIGTERM, signal.SIGQUIT, signal.SIGHUP):
            with self.subTest(stop):
                top = Terminal(self, process.pid)
                top.wait_for(r"tenure top")
                top.press(stop) if isinstance(stop, str) else top.process.send_signal(stop)
                self.assertEqual(top.code(), 0)
                self.assertIsNone(process.poll())
                self.assertFalse(os.path.exists(f"/dev/shm/tenure-{os.getuid()}.{process.pid}.attached"))
        for stop in ("\x03", "\x1c", "q"):
            with self.subTest(("of the list", stop)):
                top = Terminal(self)
                top.wait_for(str(process.pid))
                top.press(stop)
                self.assertEqual(top.code(), 0)

    def test_without_a_process_there_is_a_choice(self):
        process = self.settled()
        top = Terminal(self)
        picture = top.wait_for(rf"(?m)^ +{process.pid} .*run_known_program await 1")
        place = [line.split()[0] for line in picture.splitlines() if re.match(r" +\d+ ", line)].index(str(process.pid))
        top.press("\x1bOB" * place)
        top.press("\r")
        top.wait_for(rf"tenure top  {process.pid}")
        top.press("q")
        self.assertEqual(top.code(), 0)

    def test_once_prints_a_picture(self):
        process = self.start("await", "1", "keep", "3", "settle", "20000", "churn", "2000", "await", "2",
                             "churn", "9000")
        self.step(process)
        listed = self.tenure("top", "--once").stdout.decode()
        self.assertRegex(listed, rf"(?m)^ +{process.pid} +[\d.]+ [KM]iB  {KNOWN}")
        self.assertEqual(process.stdout.readline(), b"2\n")
        self.go_on(process)
        text = self.tenure("top", "--once", "--every", "100ms", process.pid).stdout.decode()
        self.assertRegex(text, r"(?m)^ +[23]\.\d MiB .*keep_blocks")
        self.assertRegex(text, r"(?m)^ +[\d.]+ (K?i?)B .*[\d.]+ [MG]iB  churn_blocks")
        self.assertNotIn("\x1b", text)

    def test_once_tells_programs_the_same(self):
        process = self.start("await", "1", "keep", "3", "settle", "20000", "await", "2", "churn", "200000")
        self.step(process)
        self.assertEqual(process.stdout.readline(), b"2\n")
        self.go_on(process)
        words = ("--once", "--json", "--every", "100ms")
        told = json.loads(self.tenure("top", *words, process.pid).stdout)
        self.assertEqual((told["schema"], told["pid"], told["table"], told["by"]),
                         ("tenure.top/1", process.pid, "functions", "live"))
        kept, = (row for row in told["rows"] if row["name"].startswith("keep_blocks"))
        self.assertAlmostEqual(kept["live_bytes"], 3 << 20, delta=1 << 20)
        self.assertGreater(kept["live_bytes_error"], 0)
        self.assertGreaterEqual(sum(told["parts"].values()), told["live_bytes"])
        self.assertEqual([row["live_bytes"] for row in told["rows"]],
                         sorted((row["live_bytes"] for row in told["rows"]), reverse=True))
        chosen = json.loads(self.tenure("top", *words, "--filter", "churn_", "--by", "rate", process.pid).stdout)
        self.assertEqual((chosen["row_count"], chosen["filter"], chosen["by"]), (1, "churn_", "rate"))
        self.assertGreater(chosen["rows"][0]["bytes_per_second"], 0)

    def test_wrong_input_is_refused_in_a_sentence(self):
        for code, sentence, *words in ((2, "top needs a terminal; with --once", "1"),
                                       (2, "top needs the number of a process", "x"),
                                       (2, "top takes one process", "1", "2"),
                                       (2, "--every takes 50ms at least", "--every", "1ms", "1"),
                                       (2, "--rows is of a single picture", "--rows", "3", "1"),
                                       (2, "--rows takes 1 to 10000", "--once", "--rows", "400000000", "1"),
                                       (2, "--json is of a single picture", "--json", "1"),
                                       (2, "--json is of one process", "--once", "--json"),
                                       (127, "there is no process 4194305", "--once", "4194305"),
                                       (126, "Tenure is not loaded in process", "--once", os.getpid())):
            done = self.tenure("top", *words, code=code)
            self.assertIn(sentence, done.stderr.decode())
            self.assertEqual(done.stderr.count(b"\n"), 1, done.stderr)
            self.assertEqual(done.stdout, b"")

    def test_a_terminal_without_a_name_is_refused(self):
        process = self.settled()
        top = Terminal(self, process.pid, TERM="no-such-terminal")
        text = top.read(PATIENCE).decode()
        self.assertIn("this terminal is not known", text)
        self.assertEqual(top.code(), 2)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
