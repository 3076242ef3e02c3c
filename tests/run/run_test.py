#!/usr/bin/env python3
"""`tenure run` on real programs: run_test.py TENURE LIBRARY KNOWN_PROGRAM."""

import json
import os
import pathlib
import pty
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
import unittest

TENURE, LIBRARY, KNOWN = sys.argv[1:4]
MEBIBYTE = 1 << 20


def sessions_of(pid):
    return list(pathlib.Path("/dev/shm").glob(f"tenure.{pid}.*"))


class RunTest(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="tenure-run-test."))
        self.environment = dict(os.environ, TENURE_LIBRARY=LIBRARY, XDG_CACHE_HOME=str(self.folder / "cache"))
        self.environment.pop("LD_PRELOAD", None)

    def tearDown(self):
        shutil.rmtree(self.folder)

    def start(self, *words, **more):
        more.setdefault("stdout", subprocess.PIPE)
        more.setdefault("stderr", subprocess.PIPE)
        more.setdefault("stdin", subprocess.DEVNULL)
        more.setdefault("env", self.environment)
        return subprocess.Popen([TENURE, "run", *map(str, words)], **more)

    def run_it(self, *words, stdin=None, **more):
        with self.start(*words, stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL, **more) as process:
            out, err = process.communicate(stdin, timeout=120)
        self.assertEqual(sessions_of(process.pid), [])
        return process.returncode, out, err.decode()

    def on_terminal(self, columns, *words):
        """What the command writes to a terminal of that width."""
        outer, inner = pty.openpty()
        subprocess.run(["stty", "cols", str(columns), "-onlcr"], stdin=inner, check=True)
        self.environment["TERM"] = "xterm"
        process = self.start(*words, stdout=subprocess.DEVNULL, stderr=inner)
        os.close(inner)
        said = b""
        while True:
            try:
                part = os.read(outer, 65536)
            except OSError:  # Nobody holds the other end any more.
                break
            said += part
        os.close(outer)
        self.assertEqual(process.wait(timeout=120), 0, said)
        return said.decode()

    def report(self, *words, code=0):
        path = self.folder / "report.json"
        returned, _, err = self.run_it("--json", "-o", path, *words)
        self.assertEqual(returned, code, err)
        document = json.loads(path.read_text())
        self.assertEqual(document["schema"], "tenure.report/1")
        for process in document["processes"]:
            for moment in ("memory_at_peak", "memory_at_exit"):
                if process[moment]:
                    parts = sum(part["resident_bytes"] for part in process[moment]["parts"])
                    self.assertEqual(parts, process[moment]["resident_bytes"])
        return document

    def main_of(self, document):
        return document["processes"][document["run"]["main_process"]]

    def site(self, process, name):
        found = [site for site in process["by_function"]["sites"] if name in site["name"]]
        self.assertEqual(len(found), 1, [site["name"] for site in process["by_function"]["sites"]])
        return found[0]

    def assert_near(self, estimate, truth):
        """Within five standard errors. An estimate from few samples has too small an error as well: that of a count
        goes with its root, so the error is taken as it would be at the truth."""
        error = estimate["standard_error"] * max(1, truth / max(estimate["value"], 1)) ** 0.5
        self.assertLess(abs(estimate["value"] - truth), 5 * error + 0.01 * truth, estimate)

    # What it says of a program whose memory is known.

    def test_accounts_are_exact(self):
        document = self.report("--", KNOWN, "heap", 5000, "charge", 1_000_000, "keep", 20)
        process = self.main_of(document)
        self.assertEqual(process["ledger"]["refused"], 0)
        accounts = {account["name"]: account for account in process["ledger"]["accounts"]}
        heap = accounts["kept things"]
        self.assertEqual(heap["kind"], "heap")
        self.assertEqual(heap["use"]["used_blocks"], 5000)
        self.assertEqual(heap["use"]["allocations"], 5000)
        # The heap rounds 1000 up to one of its classes, which is the same for all.
        self.assertEqual(heap["use"]["used_bytes"] % 5000, 0)
        self.assertTrue(1000 <= heap["use"]["used_bytes"] // 5000 <= 1024, heap)
        self.assertGreaterEqual(heap["held_bytes"], heap["use"]["used_bytes"])
        images, server = accounts["decoded images"], accounts["server"]
        self.assertEqual(process["ledger"]["accounts"][images["parent"]]["name"], "server")
        self.assertIsNone(server["parent"])
        self.assertEqual((images["held_bytes"], images["peak_held_bytes"]), (1_000_000, 2_000_000))
        self.assertEqual(images["held_blocks"], 3)
        self.assertEqual((server["held_bytes"], server["peak_held_bytes"]), (1_000_000, 2_000_000))
        self.assertEqual((server["hard_limit_bytes"], server["refusals"]), (3_000_000, 1))
        self.assertIsNone(images["hard_limit_bytes"])
        self.assertNotIn("use", images)

    def test_accounts_in_the_text(self):
        _, _, text = self.run_it("--", KNOWN, "heap", 5000, "charge", 1 << 20)
        section = text[text.index("Who holds it, by account"):]
        self.assertRegex(section, r"1\.0 MiB +2\.0 MiB .*cache +server / decoded images\n")
        self.assertRegex(section, r"application +server\n +limit 3\.0 MiB, 1 refused\n")
        self.assertRegex(section, r"heap +kept things\n")
        _, _, without = self.run_it("--", KNOWN, "keep", 1)
        self.assertNotIn("by account", without)

    def test_call_sites_and_lifetimes(self):
        document = self.report("--sample-interval", "64K", "--", KNOWN, "keep", 40, "churn", 300, "hand", 150)
        process = self.main_of(document)
        kept, churned, handed = (self.site(process, name) for name in ("keep_blocks", "churn_blocks", "make_blocks"))
        self.assert_near(kept["live_at_exit"]["bytes"], 40 * MEBIBYTE)
        self.assert_near(kept["live_at_peak"]["bytes"], 40 * MEBIBYTE)
        self.assert_near(kept["allocated"]["blocks"], 40 * MEBIBYTE / 1000)
        self.assert_near(churned["allocated"]["bytes"], 300 * MEBIBYTE)
        self.assertEqual(churned["live_at_exit"]["bytes"]["value"], 0)
        self.assertLess(churned["lifetimes"]["median_ns"], 10_000_000)
        self.assertIsNone(kept["lifetimes"]["quartile_ns"])
        self.assert_near(handed["allocated"]["bytes"], 150 * MEBIBYTE)
        # All but the growth of the vector that holds them.
        freed = handed["lifetimes"]["freed"]["bytes"]["value"]
        self.assertGreater(handed["lifetimes"]["freed_by_other_thread_bytes"], 0.95 * freed)
        self.assertIn("known_program.cc", kept["chain"][0]["file"])
        self.assertIn("main", [frame["function"] for frame in kept["chain"]])
        # Who frees: the function itself, and the one on the other thread.
        for site, freer in ((churned, "churn_blocks"), (handed, "main")):
            most = site["freed_by"][0]
            self.assertEqual(most["function"].split("(")[0], freer)
            self.assertEqual(most["chain"][0]["function"], most["function"])
            self.assertIn("known_program.cc", most["chain"][0]["file"])
            self.assertGreater(most["freed_bytes"], 0.95 * site["lifetimes"]["freed"]["bytes"]["value"])
        codes = [finding["code"] for finding in process["findings"]]
        self.assertIn("never-freed", codes)
        self.assertIn("freed-elsewhere", codes)
        self.assertEqual(process["sampling"]["dropped_events"], 0)

    def test_what_a_child_inherits_is_not_allocated_twice(self):
        # 64 MiB of the parent's, of which the child frees three quarters; neither has another thread.
        kept = 64 * MEBIBYTE // 1000
        words = ("--sample-interval", "64K", "--", KNOWN, "keep", 64, "drop", kept * 3 // 4)
        document = self.report(*words)
        parent, child = sorted(document["processes"], key=lambda one: one["origin"] == "fork")
        self.assertEqual((parent["origin"], child["origin"]), ("exec", "fork"))
        self.assertEqual(parent["inherited"]["samples"], 0)
        self.assertLess(child["allocated"]["bytes"]["value"], MEBIBYTE)
        self.assert_near(child["inherited"]["bytes"], 64 * MEBIBYTE)
        self.assert_near(child["inherited_freed"]["bytes"], 48 * MEBIBYTE)
        self.assert_near(child["live_at_exit"]["bytes"], 16 * MEBIBYTE)
        self.assertEqual(child["lifetimes"]["freed_by_other_thread_bytes"], 0)
        told = {one["code"] for one in child["findings"]}
        self.assertEqual(told & {"freed-elsewhere", "never-freed", "short-lived"}, set())
        site = self.site(child, "keep_blocks")
        self.assert_near(site["live_at_peak"]["bytes"], 64 * MEBIBYTE)
        self.assertIn(child["pid"], [int(one["name"].split()[-1].strip("()")) for one in child["by_thread"]["sites"]])
        text = " ".join(self.run_it("--all", *words)[2].split())
        self.assertRegex(text, r"inherited .* blocks that its parent had when it forked; .* freed since")

    def test_stacks_of_the_runtime_alone_begin_inside(self):
        # libstdc++ takes 72 KiB for exceptions when its constructors run, which is below no frame of the program.
        process = self.main_of(self.report("--sample-interval", "4K", "--", KNOWN, "keep", 1))
        modules = {site["name"]: site for site in process["by_module"]["sites"]}
        self.assertGreater(modules["libstdc++.so.6"]["live_at_exit"]["bytes"]["value"], 50_000)
        for site in process["by_function"]["sites"]:
            for frame in site.get("chain", []):
                self.assertFalse(frame["function"].startswith("tenure::"), site)

    def test_where_it_lives(self):
        process = self.main_of(self.report("--", KNOWN, "keep", 60, "touch", 30, "stay", 1))
        parts = {part["kind"]: part["resident_bytes"] for part in process["memory_at_exit"]["parts"]}
        kinds = ("heap_live", "heap_rounding", "heap_thread_caches", "heap_central_free", "heap_free_dirty")
        heap = sum(parts.get(kind, 0) for kind in kinds)
        self.assertAlmostEqual(heap / MEBIBYTE, 61.5, delta=6)
        self.assertAlmostEqual(parts["other_anonymous"] / MEBIBYTE, 30, delta=3)
        self.assertLess(parts.get("unexplained", 0), MEBIBYTE)

    def test_the_map_of_the_peak_is_none_of_what_was_freed_after_it(self):
        """Keep, free, exit: pages stay resident for a while, and the peak was made of blocks."""
        blocks = 200 * MEBIBYTE // 1000
        process = self.main_of(self.report("--", KNOWN, "keep", 200, "stay", 1, "release", blocks, "touch", 8))
        parts = {part["kind"]: part["resident_bytes"] for part in process["memory_at_peak"]["parts"]}
        self.assertGreater(parts["heap_live"], 150 * MEBIBYTE)
        for words in (("keep", 200, "release", blocks), ("keep", 200, "release", blocks, "stay", 0)):
            process = self.main_of(self.report("--", KNOWN, *words))
            codes = [finding["code"] for finding in process["findings"]]
            self.assertNotIn("free-pages", codes)
            self.assertNotIn("fragmentation", codes)

    def test_peak_is_the_kernels_peak(self):
        document = self.report("--", KNOWN, "keep", 100, "stay", 1)
        told = self.main_of(document)["peak_resident_bytes"]
        self.assertAlmostEqual(told / document["run"]["kernel_peak_resident_bytes"], 1, delta=0.05)

    def test_a_hot_thread_is_sampled_less_often_and_that_is_told(self):
        """One block is live at a time; a sample of it stands for many times what the heap ever held."""
        words = ("--", KNOWN, "settle", 1_500_000)
        process = self.main_of(self.report(*words))
        sampling, bounds = process["sampling"], process["live_bounds"]
        self.assertEqual(sampling["least_interval_bytes"], sampling["interval_bytes"])
        self.assertGreater(sampling["greatest_interval_bytes"], sampling["least_interval_bytes"])
        self.assertLess(sampling["mean_interval_bytes"], sampling["greatest_interval_bytes"])
        self.assertGreater(sampling["mean_interval_bytes"], sampling["least_interval_bytes"])
        self.assertLess(bounds["peak_bytes"], 16 * MEBIBYTE)
        self.assertLessEqual(process["live_at_peak"]["usable_bytes"]["value"], bounds["peak_bytes"])
        self.assertLessEqual(process["live_at_exit"]["usable_bytes"]["value"], bounds["exit_bytes"])
        text = self.run_it(*words)[2]
        self.assertRegex(text, r"live heap +at most \d")
        self.assertRegex(text, r"samples +\d+, one in 512\.0 KiB to \d+\.\d [MG]iB allocated")
        self.assertRegex(text, r"Who owns it +at most \d")
        calm = self.run_it("--sample-interval", "256K", "--", KNOWN, "keep", 40, "stay", 0)[2]
        self.assertRegex(calm, r"live heap +(\d+\.\d MiB ±|at most \d)")

    def test_the_kernels_peak_is_not_that_of_the_command(self):
        """What starts a program is counted for it by the kernel: of a small one nothing is known."""
        self.assertIsNone(self.report("--", "true")["run"]["kernel_peak_resident_bytes"])
        self.assertNotIn("by the kernel", self.run_it("--", "true")[2])
        large = self.report("--", "sh", "-c", f"{KNOWN} keep 60; true")["run"]["kernel_peak_resident_bytes"]
        self.assertGreater(large, 60 * MEBIBYTE)

    def test_killed_program(self):
        process = self.start("--json", "-o", self.folder / "report.json", "--sample-interval", "64K", "--",
                             KNOWN, "keep", 50, "stay", 60)
        deadline = time.monotonic() + 30
        child = None
        while child is None and time.monotonic() < deadline:
            children = subprocess.run(["ps", "-o", "pid=,comm=", "--ppid", str(process.pid)],
                                      capture_output=True, text=True)
            found = re.findall(r"(\d+) run_known", children.stdout)
            child = int(found[0]) if found else None
            time.sleep(0.05)
        while time.monotonic() < deadline:
            resident = int(pathlib.Path(f"/proc/{child}/statm").read_text().split()[1]) * 4096
            if resident > 52 * MEBIBYTE:
                break
            time.sleep(0.05)
        time.sleep(0.3)
        os.kill(child, signal.SIGKILL)
        process.communicate(timeout=60)
        self.assertEqual(process.returncode, 137)
        document = json.loads((self.folder / "report.json").read_text())
        self.assertEqual(document["run"]["exit_signal"], 9)
        told = self.main_of(document)
        self.assertEqual(told["end"], "killed")
        self.assert_near(self.site(told, "keep_blocks")["live_at_exit"]["bytes"], 50 * MEBIBYTE)
        self.assertEqual(sessions_of(process.pid), [])

    # Real programs: nothing of theirs is touched.

    def test_output_and_input_pass_through(self):
        program = ["sqlite3", ":memory:",
                   "create table t(a); insert into t values (1),(x'00ff'); select hex(a) from t;"]
        bare = subprocess.run(program, capture_output=True)
        code, out, err = self.run_it("--", *program)
        self.assertEqual((code, out), (bare.returncode, bare.stdout))
        self.assertIn("What Tenure cost", err)
        data = os.urandom(300_000)
        code, out, _ = self.run_it("-q", "--", "cat", stdin=data)
        self.assertEqual((code, out), (0, data))

    def test_standard_error_of_the_program_comes_first(self):
        code, _, err = self.run_it("--", "sh", "-c", "echo mine >&2; exit 3")
        self.assertEqual(code, 3)
        self.assertTrue(err.startswith("mine\n"))
        code, _, err = self.run_it("-o", self.folder / "report.txt", "--", "sh", "-c", "echo mine >&2")
        self.assertEqual(err, "mine\n")
        self.assertNotIn("\x1b", (self.folder / "report.txt").read_text())

    def test_python_and_its_children(self):
        script = ("import subprocess, sys; x = [bytes(5000) for _ in range(20000)]; "
                  "subprocess.run([sys.executable, '-c', 'y = [bytes(700) for i in range(9000)]'], check=True)")
        document = self.report("--sample-interval", "32K", "--", "/usr/bin/python3", "-c", script)
        large = [process for process in document["processes"] if process["allocated"]["bytes"]["value"] > 5 * MEBIBYTE]
        self.assertGreaterEqual(len(large), 2)
        self.assertGreater(self.main_of(document)["peak_resident_bytes"], 100e6)
        self.assertEqual(len({process["pid"] for process in large}), 2)

    def test_shell_with_forks_and_execs(self):
        document = self.report("--", "sh", "-c", "for i in 1 2 3; do /bin/true; done; (exit 4)", code=4)
        commands = [" ".join(process["command"]) for process in document["processes"] if process["end"] == "exited"]
        self.assertEqual(sum(command == "/bin/true" for command in commands), 3)

    def test_a_daemon_is_left_alone(self):
        flag = self.folder / "flag"
        document = self.report("--", "sh", "-c", f"sh -c 'while [ ! -e {flag} ]; do sleep 0.05; done; echo > {flag}2' "
                                                 ">/dev/null 2>&1 & sleep 0.3")
        running = [process for process in document["processes"] if process["end"] == "running"]
        self.assertTrue(running)
        flag.touch()
        deadline = time.monotonic() + 20
        while not pathlib.Path(f"{flag}2").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        self.assertTrue(pathlib.Path(f"{flag}2").exists(), "it went on after the report")

    def test_signals_are_handed_on(self):
        script = "trap 'echo term; exit 9' TERM; trap 'echo one' USR1; echo ready; while :; do sleep 0.05; done"
        with self.start("-q", "--", "sh", "-c", script) as process:
            self.assertEqual(process.stdout.readline(), b"ready\n")
            process.send_signal(signal.SIGUSR1)
            self.assertEqual(process.stdout.readline(), b"one\n")
            process.send_signal(signal.SIGTERM)
            self.assertEqual(process.stdout.readline(), b"term\n")
            self.assertEqual(process.wait(60), 9)

    def test_whatever_a_supervisor_sends_is_handed_on(self):
        # Not print(): the first signal may come while the line before it is still being flushed.
        script = ("import os, signal, sys, time\n"
                  "numbers = {getattr(signal, name) for name in sys.argv[1:]}\n"
                  "def tell(number, _):\n"
                  "    os.write(1, signal.Signals(number).name.encode() + b'\\n')\n"
                  "    numbers.discard(number)\n"
                  "for number in list(numbers): signal.signal(number, tell)\n"
                  "print('ready', flush=True)\n"
                  "while numbers: time.sleep(0.05)\n")
        names = ["SIGINT", "SIGQUIT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGALRM", "SIGPIPE", "SIGXCPU",
                 "SIGVTALRM", "SIGPROF", "SIGIO", "SIGPWR", "SIGURG", "SIGWINCH"]
        with self.start("-q", "--", "/usr/bin/python3", "-c", script, *names) as process:
            self.assertEqual(process.stdout.readline(), b"ready\n")
            for name in names:
                process.send_signal(getattr(signal, name))
                self.assertEqual(process.stdout.readline().decode(), f"{signal.Signals[name].name}\n")
            self.assertEqual(process.wait(60), 0)

    def test_an_interrupt_that_ends_the_program_ends_the_command(self):
        # Whoever runs the tests in the background ignores the signal.
        with self.start("-q", "--", "sh", "-c", "echo ready; exec sleep 60",
                        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)) as process:
            process.stdout.readline()
            process.send_signal(signal.SIGINT)
            self.assertEqual(process.wait(30), 128 + signal.SIGINT)

    def test_a_file_size_limit_costs_the_recording_and_not_the_program(self):
        for blocks in (0, 100, 1000000):
            command = (f"ulimit -f {blocks}; exec {TENURE} run -- sh -c 'trap \"\" XFSZ; echo done'")
            done = subprocess.run(["bash", "-c", command], capture_output=True, env=self.environment, text=True)
            self.assertEqual((done.returncode, done.stdout), (0, "done\n"), done.stderr)
        # The program's own files end it, as without us.
        command = f"ulimit -f 0; exec {TENURE} run -q -- sh -c 'echo x > {self.folder}/file'"
        done = subprocess.run(["bash", "-c", command], capture_output=True, env=self.environment, text=True)
        self.assertEqual(done.returncode, 128 + signal.SIGXFSZ, done.stderr)

    def test_stop_and_continue(self):
        with self.start("-q", "--", "sh", "-c", "echo ready; read line; echo $line", stdin=subprocess.PIPE,
                        process_group=0) as process:
            process.stdout.readline()
            os.kill(process.pid, signal.SIGTSTP)
            _, status = os.waitpid(process.pid, os.WUNTRACED)
            self.assertTrue(os.WIFSTOPPED(status))
            os.killpg(process.pid, signal.SIGCONT)
            out, _ = process.communicate(b"on\n", timeout=60)
            self.assertEqual((process.returncode, out), (0, b"on\n"))

    def test_the_program_gets_the_signals_of_its_caller(self):
        """Ignored stays ignored, default stays default, nothing is blocked."""
        script = ("import signal; "
                  "print(signal.getsignal(signal.SIGINT) == signal.SIG_IGN, signal.pthread_sigmask(0, []))")
        ignoring = f"trap '' INT; exec {TENURE} run -q -- /usr/bin/python3 -c '{script}'"
        out = subprocess.run(["sh", "-c", ignoring], capture_output=True, env=self.environment, text=True).stdout
        self.assertEqual(out, "True set()\n")
        _, out, _ = self.run_it("-q", "--", "/usr/bin/python3", "-c", script)
        self.assertEqual(out, b"False set()\n")

    # Programs that nothing is known of are named.

    def run_until_named(self, command_of):
        """The report of command_of(SECONDS), which is looked at now and then: longer where the machine is busy."""
        for seconds in (1, 4, 16):
            code, _, err = self.run_it("--json", "-o", self.folder / "report.json", "--", *command_of(seconds))
            self.assertEqual(code, 0, err)
            document = json.loads((self.folder / "report.json").read_text())
            if document["unwatched"]:
                break
        return document

    def test_a_program_that_becomes_one_that_is_not_watched_is_named(self):
        def command_of(seconds):
            script = f"import time; held = b'x' * (60 << 20); time.sleep({seconds})"
            return ("/usr/bin/python3", "-c", f"import os, time; time.sleep({seconds});"
                    f"os.execve('/usr/bin/python3', ['python3', '-c', {script!r}], {{}})")
        document = self.run_until_named(command_of)
        self.assertEqual([one["end"] for one in document["processes"]], ["unwatched"])
        self.assertEqual(document["run"]["exit_code"], 0)
        [named] = document["unwatched"]
        self.assertEqual((named["pid"], named["reason"]), (document["run"]["pid"], "no_preload"))
        self.assertGreater(named["peak_resident_bytes"], 60 << 20)
        self.assertLess(named["first_seen_ns"], named["last_seen_ns"])

    def test_a_static_child_is_named(self):
        source, static = self.folder / "main.c", self.folder / "sleeper"
        source.write_text("#include <stdlib.h>\n#include <unistd.h>\n"
                          "int main(int count, char** words) { sleep(atoi(words[count - 1])); return 0; }\n")
        subprocess.run(["cc", "-static", "-o", static, source], check=True)
        command = ("sh", "-c", f"{static} $0; true")
        document = self.run_until_named(lambda seconds: (*command, str(seconds)))
        [named] = document["unwatched"]
        self.assertEqual((named["executable"], named["reason"]), (str(static), "static"))
        for seconds in (1, 4, 16):
            _, _, err = self.run_it("--", *command, str(seconds))
            if "Not watched" in err:
                break
        self.assertRegex(err, r"Not watched  a program.*\n.*\n.*linked statically +" + str(static))

    def test_watched_children_are_not_named(self):
        code, _, err = self.run_it("--json", "-o", self.folder / "report.json", "--", "sh", "-c",
                                   "sleep 1 & python3 -c 'import time; time.sleep(1)'; wait")
        self.assertEqual(code, 0, err)
        self.assertEqual(json.loads((self.folder / "report.json").read_text())["unwatched"], [])

    def test_ends_are_told_apart(self):
        for script, end in (("import os; os._exit(0)", "left"), ("pass", "exited"),
                            ("import os; os.kill(os.getpid(), 9)", "killed")):
            self.run_it("--json", "-o", self.folder / "report.json", "--", "/usr/bin/python3", "-c", script)
            document = json.loads((self.folder / "report.json").read_text())
            self.assertEqual(self.main_of(document)["end"], end)

    def test_a_script_without_an_interpreter_line_runs_as_in_a_shell(self):
        script = self.folder / "script"
        script.write_text("echo $0 $1 $#; exit 5\n")
        script.chmod(0o755)
        code, out, _ = self.run_it("-q", "--", script, "a b", "c")
        self.assertEqual((code, out.decode()), (5, f"{script} a b 2\n"))

    # Bad input: one sentence, the right exit code, nothing left behind.

    def assert_refused(self, code, pattern, *words):
        returned, out, err = self.run_it(*words)
        self.assertEqual((returned, out), (code, b""), err)
        self.assertRegex(err, pattern)
        self.assertEqual(err.count("\n"), 1, err)

    def test_refusals(self):
        plain = self.folder / "plain"
        plain.write_text("no program")
        self.assert_refused(127, "no-such-command", "--", "no-such-command")
        self.assert_refused(126, "plain", "--", plain)
        plain.chmod(0o755)
        plain.write_bytes(b"no\0program")
        self.assert_refused(126, "plain", "--", plain)
        self.assert_refused(126, str(self.folder), "--", self.folder)
        self.assert_refused(2, "tenure", "--no-such-option", "--", "true")
        marker = self.folder / "ran"
        for target in (self.folder / "missing" / "report", self.folder):
            self.assert_refused(2, "cannot be written", "-o", target, "--", "touch", marker)
            self.assert_refused(2, "cannot be written", "--pprof", target, "--", "touch", marker)
        self.assertFalse(marker.exists(), "the program was not started")
        missing = self.folder / "missing" / "report"
        self.assert_refused(2, f"there is no folder '{missing.parent}'", "-o", missing, "--", "true")
        self.assert_refused(2, "no file can be made there", "--pprof", "/proc/nope", "--", "touch", marker)
        self.assert_refused(2, "is empty", "-o", "", "--", "touch", marker)
        for one, other in (("out", "out"), ("out", "./out"), ("-", "-")):
            self.assert_refused(2, "two outputs", "-o", self.folder / one if one != "-" else one, "--pprof",
                                f"{self.folder}/{other}" if other != "-" else other, "--", "touch", marker)
        self.assert_refused(70, "not a shared library", "--preload", "/bin/ls", "--", "touch", marker)
        self.assert_refused(127, f"there is no file '{missing}'", "--", missing)
        self.assert_refused(70, "not a shared library", "--preload", plain, "--", "touch", marker)
        self.assertFalse(marker.exists(), "the program was not started")
        # The variable is held against the same as the option.
        for library, what in (("/no/such/library.so", "there"), (plain, "a shared library"),
                              ("/bin/ls", "a shared library"), (self.folder, "a shared library")):
            self.assert_refused(70, f"^tenure: --preload names '{library}', which is not {what}",
                                "--preload", library, "--", "touch", marker)
            self.environment["TENURE_LIBRARY"] = str(library)
            self.assert_refused(70, f"^tenure: TENURE_LIBRARY names '{library}', which is not {what}",
                                "--", "touch", marker)
        self.assertFalse(marker.exists(), "the program was not started")

    def test_static_and_raised_rights(self):
        source = self.folder / "main.c"
        source.write_text("int main(void) { return 0; }\n")
        static = self.folder / "static"
        if subprocess.run(["cc", "-static", "-o", static, source], capture_output=True).returncode == 0:
            self.assert_refused(126, "static", "--", static)
        if os.geteuid() == 0:
            raised = self.folder / "raised"
            shutil.copy("/bin/true", raised)
            os.chown(raised, 65534, 65534)
            raised.chmod(stat.S_ISUID | 0o755)
            self.assert_refused(126, "right|set-user-id|setuid", "--", raised)

    def test_outputs_are_whole_or_not_there(self):
        target = self.folder / "report.txt"
        target.write_text("old")
        target.chmod(0o640)
        self.run_it("-o", target, "--pprof", self.folder / "heap.pb.gz", "--", KNOWN, "keep", 5)
        self.assertIn("Where it lives", target.read_text())
        self.assertEqual(target.stat().st_mode & 0o777, 0o640)
        self.assertEqual((self.folder / "heap.pb.gz").read_bytes()[:2], b"\x1f\x8b")
        left = {path.name for path in self.folder.iterdir()} - {"cache"}
        self.assertEqual(left, {"report.txt", "heap.pb.gz"})

    def test_a_library_in_a_folder_with_a_blank(self):
        place = self.folder / "a b:c"
        place.mkdir()
        shutil.copy(LIBRARY, place)
        self.environment["TENURE_LIBRARY"] = str(place / pathlib.Path(LIBRARY).name)
        self.assertTrue(self.report("--", KNOWN, "keep", 5)["run"]["engaged"])

    def test_says_when_it_did_not_engage(self):
        """A library that loads and does nothing: the nearest to a program that throws the preload away."""
        source, idle = self.folder / "idle.c", self.folder / "libtenure-malloc.so"
        source.write_text("#include <stddef.h>\nextern void* __libc_malloc(size_t);\n"
                          "void* malloc(size_t bytes) { return __libc_malloc(bytes); }\n")
        subprocess.run(["cc", "-shared", "-fPIC", "-o", idle, source], check=True)
        self.environment["TENURE_LIBRARY"] = str(idle)
        code, out, err = self.run_it("--", "echo", "said")
        self.assertEqual((code, out), (0, b"said\n"))
        self.assertIn("Tenure did not engage", err)

    def test_report_fits_the_page(self):
        _, _, err = self.run_it("--sample-interval", "16K", "--",
                                "/usr/bin/python3", "-c", "import json, decimal, email")
        for line in err.splitlines():
            self.assertLessEqual(len(line), 100, line)
        narrow = self.on_terminal(80, "--sample-interval", "16K", "--", "/usr/bin/python3", "-c", "import json, email")
        self.assertIn("What Tenure cost", narrow)
        for line in re.sub(r"\x1b\[\d*m", "", narrow).splitlines():
            self.assertLessEqual(len(line), 80, line)
        self.environment["CLICOLOR_FORCE"] = "1"
        self.assertIn("\x1b[1m", self.run_it("--", "true")[2])
        self.environment["NO_COLOR"] = "1"
        self.assertNotIn("\x1b", self.run_it("--", "true")[2])

    def test_says_why_there_are_no_samples(self):
        self.assertIn("it allocated little against the sampling interval", self.run_it("--", "true")[2])
        self.assertIn("sampling was off", self.run_it("--sample-interval", "0", "--", "true")[2])

    def test_findings_are_told_without_samples(self):
        text = self.run_it("--sample-interval", "0", "--", KNOWN, "touch", 64)[2]
        found = " ".join(text.split("Findings")[1].split())
        self.assertIn("were mapped by the program itself, outside the heap", found)
        self.assertNotIn("Findings", self.run_it("--sample-interval", "0", "--", "true")[2])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[4:], verbosity=2)
