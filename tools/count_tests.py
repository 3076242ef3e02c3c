#!/usr/bin/env python3
"""Counts what a CTest JUnit file says: prints "PASSED FAILED SKIPPED", then a line
for each test that failed or was skipped.

A test whose program is missing is reported by CTest as not run; it counts as failed. Only a test that asked to be
skipped (SKIP_RETURN_CODE, SKIP_REGULAR_EXPRESSION) or is disabled counts as skipped.
"""
import sys
import xml.etree.ElementTree as xml


def outcome(case):
    status = case.get("status")
    if status == "run":
        return "passed"
    skipped = case.find("skipped")
    reason = "" if skipped is None else skipped.get("message", "")
    if status == "disabled" or "SKIP_" in reason:
        return "skipped"
    return "failed"


def main(path):
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    lines = []
    for case in xml.parse(path).getroot().iter("testcase"):
        kind = outcome(case)
        counts[kind] += 1
        if kind != "passed":
            lines.append(f"{kind} {case.get('name')}")
    print(counts["passed"], counts["failed"], counts["skipped"])
    print("\n".join(lines), end="\n" if lines else "")


if __name__ == "__main__":
    main(sys.argv[1])
