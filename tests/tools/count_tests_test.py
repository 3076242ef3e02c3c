"""What counts as passed, failed and skipped in CTest's JUnit files: CTest itself runs tests of known outcome."""
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
LISTS = """
cmake_minimum_required(VERSION 3.25)
project(outcomes NONE)
enable_testing()
add_test(NAME good COMMAND true)
add_test(NAME bad COMMAND false)
add_test(NAME missing COMMAND /nonexistent/program)
add_test(NAME skipped_by_code COMMAND sh -c "exit 77")
add_test(NAME switched_off COMMAND false)
set_tests_properties(skipped_by_code PROPERTIES SKIP_RETURN_CODE 77)
set_tests_properties(switched_off PROPERTIES DISABLED ON)
"""


class CountTests(unittest.TestCase):
    def count(self, lists):
        with tempfile.TemporaryDirectory() as folder:
            (pathlib.Path(folder) / "CMakeLists.txt").write_text(lists)
            cmake = ["cmake", "-S", folder, "-B", f"{folder}/build"]
            subprocess.run(cmake, check=True, capture_output=True)
            junit = f"{folder}/junit.xml"
            ctest = ["ctest", "--test-dir", f"{folder}/build", "--output-junit", junit]
            subprocess.run(ctest, check=False, capture_output=True)
            command = [sys.executable, ROOT / "tools/count_tests.py", junit]
            return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    @unittest.skipUnless(shutil.which("ctest"), "needs cmake")
    def test_outcomes(self):
        said = self.count(LISTS).splitlines()
        self.assertEqual(said[0], "1 2 2")
        failed, skipped = {"failed bad", "failed missing"}, {"skipped skipped_by_code", "skipped switched_off"}
        self.assertEqual(set(said[1:]), failed | skipped)


if __name__ == "__main__":
    unittest.main()
