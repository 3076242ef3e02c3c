#!/usr/bin/env python3
"""What a person sees of the tenure command: help, wrong inputs, exit codes, doctor, options, completions, man pages.

usage: command_line_test.py TENURE LIBRARY GENERATED_FOLDER SOURCE_FOLDER
"""
import json
import os
import pathlib
import pty
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

TENURE, LIBRARY, GENERATED, SOURCE = (pathlib.Path(word) for word in sys.argv[1:5])
QUIET = {"NO_COLOR": "", "CLICOLOR_FORCE": "", "TERM": "xterm"}


def run(*words, **environment):
    return subprocess.run([TENURE, *words], capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL,
                          env={**os.environ, **QUIET, **environment})


def on_terminal(*words, columns=80, **environment):
    """What the command writes when its standard output is a terminal."""
    main, inner = pty.openpty()
    subprocess.run(["stty", "cols", str(columns), "rows", "40"], stdin=inner, check=True)
    with subprocess.Popen([TENURE, *words], stdout=inner, stderr=inner, stdin=subprocess.DEVNULL,
                          env={**os.environ, **QUIET, **environment}) as child:
        os.close(inner)
        text = b""
        while True:
            try:
                part = os.read(main, 65536)
            except OSError:
                break
            if not part:
                break
            text += part
        child.wait(timeout=60)
    os.close(main)
    return text.decode().replace("\r\n", "\n")


def asked_on_the_heap(script):
    """What a Python program that runs on the heap finds out; it leaves it in `answer`."""
    program = f"import ctypes, json\nheap = ctypes.CDLL(None)\n{script}\nprint(json.dumps(answer))"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TENURE_")}
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True,
                          env={**environment, "LD_PRELOAD": str(LIBRARY)})
    return json.loads(said.stdout)


def commands():
    return re.findall(r"^  (\w+)  ", run("--help").stdout.split("options of every command")[0], re.MULTILINE)


class Help(unittest.TestCase):
    def test_no_words_show_the_overview(self):
        self.assertEqual(run().stdout, run("--help").stdout)
        self.assertEqual(run().stdout, run("help").stdout)
        self.assertEqual(run().returncode, 0)
        self.assertEqual(commands(), ["run", "record", "attach", "top", "report", "leaks", "fragmentation", "lifetimes",
                                      "diff", "check", "export", "import", "bundle", "simulate", "doctor", "options",
                                      "help", "version"])

    def test_each_command_has_help_by_both_ways(self):
        for command in commands():
            by_option = run(command, "--help")
            self.assertEqual(by_option.returncode, 0)
            self.assertEqual(by_option.stdout, run("help", command).stdout)
            self.assertIn(f"usage: tenure {command}", by_option.stdout)
            for part in ("options\n", "exit codes\n", "--color WHEN"):
                self.assertIn(part, by_option.stdout)

    def test_no_line_is_longer_than_the_terminal(self):
        for words in ([], *(["help", command] for command in commands()), ["doctor"], ["options"]):
            for columns in (60, 80, 120):
                text = re.sub(r"\x1b\[\d*m", "", on_terminal(*words, columns=columns))
                # Examples are not broken: they can be copied as they are.
                long = [line for line in text.splitlines() if len(line) > columns and not line.startswith("  tenure ")
                        and "/" not in line]
                self.assertEqual(long, [], f"{words} at {columns}")

    def test_colour_only_on_a_terminal(self):
        self.assertNotIn("\x1b", run("--help").stdout)
        self.assertIn("\x1b[1m", on_terminal("--help"))
        self.assertNotIn("\x1b", on_terminal("--help", NO_COLOR="1"))
        self.assertNotIn("\x1b", on_terminal("--help", "--color", "never"))
        self.assertIn("\x1b", run("--help", "--color", "always").stdout)
        self.assertIn("\x1b", run("--help", CLICOLOR_FORCE="1").stdout)

    def test_version(self):
        for words in (["version"], ["--version"], ["-V"], ["run", "--version"]):
            self.assertRegex(run(*words).stdout, r"\Atenure \d+\.\d+\.\d+ \(.+\)\n\Z")


class WrongInput(unittest.TestCase):
    def expect(self, words, sentence, code=2):
        result = run(*words)
        self.assertEqual((result.returncode, result.stdout), (code, ""), words)
        self.assertTrue(result.stderr.startswith("tenure: "), result.stderr)
        self.assertEqual(result.stderr.count("\n"), 1, result.stderr)
        self.assertIn(sentence, result.stderr)

    def test_one_sentence_and_exit_code_two(self):
        self.expect(["rnu"], "did you mean `tenure run`?")
        self.expect(["help", "docter"], "did you mean `tenure doctor`?")
        self.expect(["run", "--jsn", "--", "true"], "did you mean --json?")
        self.expect(["-o", "report.txt", "run", "--", "true"], "there is no option -o")
        self.expect(["run"], "run needs a command")
        self.expect(["run", "--"], "run needs a command")
        self.expect(["options", "decay"], "one word too many")
        self.expect(["--color"], "--color needs a value")
        self.expect(["run", "--sample-interval", "lots", "true"], "a number of bytes")

    def test_a_full_disk_is_not_success(self):
        with open("/dev/full", "w") as full:
            self.assertEqual(subprocess.run([TENURE, "options"], stdout=full).returncode, 1)


class Doctor(unittest.TestCase):
    def test_engages(self):
        result = run("doctor")
        self.assertEqual(result.returncode, 0, result.stdout)
        self.assertTrue(result.stdout.startswith("Tenure engages"), result.stdout)
        self.assertIn(str(LIBRARY), result.stdout)

    def test_json_says_the_same(self):
        answer = json.loads(run("doctor", "--json").stdout)
        self.assertEqual(answer["schema"], "tenure.doctor/1")
        self.assertIs(answer["engages"], True)
        facts = {fact["name"]: fact for part in ("heap", "memory", "limits", "instruments") for fact in answer[part]}
        self.assertEqual(facts["engine"]["value"], asked_on_the_heap("""
heap.tenure_version.restype = ctypes.c_char_p
answer = heap.tenure_version().decode()
"""))
        self.assertEqual(facts["kernel"]["value"], os.uname().release)
        self.assertIn(os.confstr("CS_GNU_LIBC_VERSION").split()[1], facts["glibc"]["value"])
        modes = pathlib.Path("/sys/kernel/mm/transparent_hugepage/enabled")
        if modes.exists():
            self.assertIn(f"[{facts['transparent huge pages']['value']}]", modes.read_text())
        for fact in facts.values():
            self.assertTrue(fact["value"], fact)
            if fact.get("good", True):
                self.assertIn("Nothing", fact.get("cost", "Nothing"), fact)

    def test_says_why_it_does_not_engage(self):
        with tempfile.TemporaryDirectory() as folder:
            missing = run("doctor", TENURE_LIBRARY=f"{folder}/none.so")
            self.assertEqual(missing.returncode, 1)
            self.assertTrue(missing.stdout.startswith("Tenure does not engage: TENURE_LIBRARY names"), missing.stdout)

            text = pathlib.Path(folder, "text.so")
            text.write_text("not a library")
            ignored = run("doctor", TENURE_LIBRARY=str(text))
            self.assertEqual(ignored.returncode, 1, ignored.stdout)
            self.assertIn("does not engage", ignored.stdout)

            source = pathlib.Path(folder, "other.c")
            source.write_text("int tenure_is_active(void) { return 0; }")
            subprocess.run(["gcc", "-shared", "-fPIC", source, "-o", f"{folder}/other.so"], check=True)
            other = run("doctor", TENURE_LIBRARY=f"{folder}/other.so")
            self.assertEqual(other.returncode, 1)
            self.assertIn("malloc came from", " ".join(other.stdout.split()))

            # The library without the override speaks for its own heaps and leaves malloc alone.
            alone = run("doctor", TENURE_LIBRARY=str(pathlib.Path(LIBRARY).parent / "libtenure.so"))
            self.assertEqual(alone.returncode, 1)
            self.assertIn("malloc came from", " ".join(alone.stdout.split()))

            crash = pathlib.Path(folder, "crash.c")
            crash.write_text("#include <stdlib.h>\n"
                             "__attribute__((constructor)) static void end(void) { abort(); }")
            subprocess.run(["gcc", "-shared", "-fPIC", crash, "-o", f"{folder}/crash.so"], check=True)
            died = run("doctor", "--json", TENURE_LIBRARY=f"{folder}/crash.so")
            self.assertEqual(died.returncode, 1)
            self.assertIn("Aborted", json.loads(died.stdout)["failure"])

    def test_leaves_nothing_behind(self):
        # Other commands may run meanwhile, with sessions of their own, which are named after their process.
        with subprocess.Popen([TENURE, "doctor"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            process.communicate(timeout=60)
        self.assertEqual([name for name in os.listdir("/dev/shm") if name.startswith(f"tenure.{process.pid}.")], [])

    def test_looks_at_a_program(self):
        good = run("doctor", "--json", "--", "ls")
        self.assertEqual(good.returncode, 0)
        self.assertIs(json.loads(good.stdout)["program"]["can_engage"], True)
        with tempfile.TemporaryDirectory() as folder:
            source = pathlib.Path(folder, "m.c")
            source.write_text("int main(void) { return 0; }")
            subprocess.run(["gcc", "-static", source, "-o", f"{folder}/static"], check=True)
            bad = run("doctor", "--", f"{folder}/static")
            self.assertEqual(bad.returncode, 1)
            self.assertIn("It cannot engage", bad.stdout)
            self.assertIn("linked statically", " ".join(bad.stdout.split()))


@unittest.skipUnless(shutil.which("go"), "go is not installed")
class Pprof(unittest.TestCase):
    SOURCE = """
      #include <cstdlib>
      #include <vector>
      std::vector<void*> kept;
      __attribute__((noinline)) void keep(int n) { for (int i = 0; i < n; ++i) kept.push_back(std::malloc(4 << 20)); }
      static inline void* grab(std::size_t n) { return std::malloc(n); }
      __attribute__((noinline)) void pass(int n) { for (int i = 0; i < n; ++i) { kept.push_back(grab(8 << 20)); }
        for (int i = 0; i < n; ++i) { std::free(kept.back()); kept.pop_back(); } }
      int main() { pass(10); keep(10); std::_Exit(3); }
    """

    def test_go_reads_what_run_writes(self):
        """Blocks far greater than the sampling interval are all sampled, so that the figures are known."""
        with tempfile.TemporaryDirectory() as folder:
            pathlib.Path(folder, "p.cc").write_text(self.SOURCE)
            subprocess.run(["g++", "-O2", "-g", "p.cc", "-o", "p"], cwd=folder, check=True)
            for moment, kept, passed in (("exit", "40MB", None), ("peak", None, "80MB")):
                result = run("run", "-q", "--sample-interval", "64K", "--pprof", f"{folder}/{moment}.gz", "--pprof-at",
                             moment, "--", f"{folder}/p", XDG_CACHE_HOME=folder, TENURE_SAMPLE_SPACING="0")
                self.assertEqual((result.returncode, result.stdout, result.stderr), (3, "", ""))
                shown = subprocess.run(["go", "tool", "pprof", "-symbolize=none", "-top", f"{folder}/{moment}.gz"],
                                       capture_output=True, text=True, env={**os.environ, "HOME": folder}).stdout
                self.assertIn("Type: inuse_space", shown)
                for amount, function in ((kept, "keep(int)"), (passed, "grab (inline)")):
                    row = re.search(rf"^ *(\S+) .* {re.escape(function)}$", shown, re.MULTILINE)
                    self.assertEqual(row.group(1) if row else None, amount, f"{function} at {moment}\n{shown}")
                self.assertNotIn("malloc", shown, "the heap's own frames are dropped")


class Options(unittest.TestCase):
    def test_the_table_is_the_heaps_own(self):
        """The oracle is the heap: each option by name, its default, and its range."""
        answer = json.loads(run("options", "--json").stdout)
        self.assertEqual(answer["schema"], "tenure.options/1")
        self.assertGreater(len(answer["options"]), 5)
        told = asked_on_the_heap(f"""
value = ctypes.c_int64()
answer = {{}}
for name, maximum in {[(option["name"], option["maximum"]) for option in answer["options"]]}:
    found = heap.tenure_option_get(name.encode(), ctypes.byref(value))
    beyond = heap.tenure_option_set(name.encode(), ctypes.c_int64(maximum + 1))
    answer[name] = [found, value.value, beyond, heap.tenure_option_set(name.encode(), ctypes.c_int64(maximum))]
answer["no such option"] = [heap.tenure_option_get(b"no such option", ctypes.byref(value))]
""")
        self.assertEqual(told.pop("no such option"), [0])
        text = run("options").stdout
        for option in answer["options"]:
            self.assertIn(option["environment"], text)
            self.assertEqual(told.pop(option["name"]), [1, option["default"], 0, 1], option)

    def test_what_the_command_itself_reads_is_told_too(self):
        answer = json.loads(run("options", "--json").stdout)
        page = pathlib.Path(SOURCE, "docs/reference/options.md").read_text()
        manual = (GENERATED / "man" / "tenure-options.7").read_text()
        names = [one["environment"] for one in answer["command"]]
        self.assertIn("TENURE_LIBRARY", names)
        self.assertNotIn("TENURE_*", names)
        for name in names:
            for text in (run("options").stdout, page, manual):
                self.assertIn(name, text)

    def test_defaults_stand_in_one_place(self):
        """Help says what the table says."""
        options = {one["name"]: one for one in json.loads(run("options", "--json").stdout)["options"]}
        told = " ".join(run("help", "run").stdout.split())
        interval = options["sample_interval"]["default"]
        self.assertIn(f"{interval >> 10} KiB by default", told)
        self.assertIn(f"TENURE_SAMPLE_SPACING, {options['sample_spacing']['default']} us by default", told)

    def test_a_mistyped_name_is_told_once(self):
        """By the heap, in a program that goes on as if the variable were not there."""
        environment = {"LD_PRELOAD": str(LIBRARY), "TENURE_DECY": "5", "TENURE_LIBRARY": "/x", "TENURE_TEST_X": "1"}
        done = subprocess.run(["sort", "--version"], capture_output=True, text=True, timeout=60, env=environment)
        self.assertEqual((done.returncode, done.stderr), (0, "tenure: TENURE_DECY is no option of the heap and changes "
                                                             "nothing; did you mean TENURE_DECAY?\n"))


class Generated(unittest.TestCase):
    def test_committed_pages_are_those_of_the_tables(self):
        with tempfile.TemporaryDirectory() as folder:
            self.assertEqual(run("generate", "docs", folder).returncode, 0)
            for page in ("commands.md", "options.md"):
                self.assertEqual(pathlib.Path(SOURCE, "docs/reference", page).read_text(),
                                 pathlib.Path(folder, page).read_text(),
                                 f"docs/reference/{page} is old: build the target tenure_reference")

    def test_every_option_is_in_every_page(self):
        for command in commands():
            options = run("help", command).stdout.split("options\n")[1].split("examples\n")[0]
            names = set(re.findall(r"--[a-z-]+", options))
            page = (GENERATED / "man" / f"tenure-{command}.1").read_text().replace("\\-", "-")
            for name in names:
                self.assertIn(name, page)
        for shell in ("tenure.bash", "_tenure", "tenure.fish"):
            text = (GENERATED / "completion" / shell).read_text()
            for name in ("sample-interval", "pprof-at", "debuginfod", "doctor"):
                self.assertIn(name, text, shell)
            self.assertNotIn("probe", text, "hidden commands are not offered")

    @unittest.skipUnless(shutil.which("mandoc"), "mandoc is not installed")
    def test_man_pages_are_sound(self):
        pages = sorted((GENERATED / "man").iterdir())
        self.assertEqual(len(pages), len(commands()) + 2)
        said = subprocess.run(["mandoc", "-Tlint", "-Wwarning", *pages], capture_output=True, text=True).stdout
        self.assertEqual([line for line in said.splitlines() if "missing date" not in line], [])

    def test_bash_completes(self):
        script = f"""
          source {GENERATED}/completion/tenure.bash
          COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=(); _tenure 2>/dev/null
          printf '%s\\n' "${{COMPREPLY[@]}}"
        """

        def offered(*words):
            result = subprocess.run(["bash", "-c", script, "bash", "tenure", *words], capture_output=True, text=True)
            return result.stdout.split()

        self.assertEqual(offered("r"), ["run", "record", "report"])
        self.assertEqual(offered("doctor", "--j"), ["--json"])
        self.assertEqual(offered("run", "--pprof-at", ""), ["exit", "peak"])
        self.assertEqual(offered("--color", ""), ["auto", "always", "never"])
        self.assertIn("bash", offered("run", "--json", "bas"))
        self.assertIn("bash", offered("run", "-o", "file", "--", "bas"))
        self.assertEqual(offered("help", "doc"), ["doctor"])

    @unittest.skipUnless(shutil.which("fish"), "fish is not installed")
    def test_fish_completes(self):
        def offered(line):
            script = f"source {GENERATED}/completion/tenure.fish; complete -C '{line}'"
            result = subprocess.run(["fish", "--no-config", "-c", script], capture_output=True, text=True,
                                    env={**os.environ, "PATH": f"{TENURE.parent}:{os.environ['PATH']}"})
            self.assertEqual(result.stderr, "")
            return [row.split("\t")[0] for row in result.stdout.splitlines()]

        self.assertEqual(offered("tenure do"), ["doctor"])
        self.assertEqual(sorted(offered("tenure run --pprof-at ")), ["exit", "peak"])
        self.assertEqual(offered("tenure doctor --j"), ["--json"])
        self.assertIn("bash", offered("tenure run -- bas"))
        self.assertIn("bash", offered("tenure run --json bas"))
        self.assertNotIn("run", offered("tenure run "))

    @unittest.skipUnless(shutil.which("zsh"), "zsh is not installed")
    def test_zsh_reads_its_completion(self):
        result = subprocess.run(["zsh", "-n", GENERATED / "completion" / "_tenure"], capture_output=True, text=True)
        self.assertEqual((result.returncode, result.stderr), (0, ""))


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[5:]])
