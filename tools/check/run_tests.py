#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the tests of a build folder and counts their cases.

run_tests.py BUILD [--label TEXT] [--only REGEX] [--scripts | --scripts-only] [--timeout S] [--jobs N]

Tests are the programs that CMake knows (ctest lists them) and, with --scripts,
tests/**/test_*.sh and test_*.py (BUILD_DIR names the build folder to them);
with --scripts-only those alone.
All speak TAP: "ok", "not ok", "ok # SKIP why". A program that crashes, ends
with a bad status without a failed case, runs fewer cases than it planned, or
none at all counts as one failure more. A case skipped because of the folder
../shared is a failure where that folder exists.

The counts are appended to the file $CHECK_RESULTS: result, count, name.
"""
import argparse
import concurrent.futures
import json
import os
import re
import signal
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
RESULT = re.compile(r"(not )?ok\b\s*(\d+)?\s*-?\s*(.*)")
PLAN = re.compile(r"1\.\.(\d+)\s*(#.*)?$")
SKIP = re.compile(r"#\s*skip\b:?\s*(.*)", re.IGNORECASE)


class Outcome:
    def __init__(self, name):
        self.name, self.passed, self.seconds = name, 0, 0.0
        self.failures, self.skips = [], []  # texts
        self.output = ""

    def count(self):
        return self.passed + len(self.failures) + len(self.skips)


def read_tap(outcome, text, shared):
    """Counts the cases of a TAP text; other lines before a skip belong to its reason."""
    planned, notes = 0, []
    for line in text.splitlines():
        plan, result = PLAN.match(line), RESULT.match(line)
        if plan:
            planned += int(plan.group(1))
        elif result:
            bad, rest = result.group(1), result.group(3)
            skip = SKIP.search(rest)
            case = (rest[:skip.start()].strip(" -") or skip.group(1)) if skip else rest.strip()
            if skip:
                reason = " ".join(notes[-3:] + [skip.group(1)]).strip()
                if shared and "shared" in reason:
                    outcome.failures.append(f"{case}: skipped, but ../shared is there ({reason})")
                else:
                    outcome.skips.append(f"{case} ({reason})")
            elif bad:
                outcome.failures.append(case)
            else:
                outcome.passed += 1
            notes = []
        elif line.strip():
            notes.append(line.strip().lstrip("# "))
    return planned


def run(test, timeout, shared):
    name, command, folder, extra = test
    outcome = Outcome(name)
    environment = dict(os.environ, CMOCKA_MESSAGE_OUTPUT="TAP", **extra)
    environment.setdefault("ASAN_OPTIONS", "detect_leaks=1:allocator_may_return_null=1")
    environment.setdefault("UBSAN_OPTIONS", "print_stacktrace=1")
    start = time.monotonic()
    ended = ""
    with subprocess.Popen(command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, start_new_session=True) as process:
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            out, err = process.communicate()
            ended = f"did not end within {timeout} s"
    outcome.seconds = time.monotonic() - start
    out, err = out.decode(errors="replace"), err.decode(errors="replace")
    planned = read_tap(outcome, out, shared)
    outcome.output = out + err
    seen = outcome.count()
    if not ended and process.returncode < 0:
        ended = f"was killed by signal {-process.returncode}"
    elif not ended and process.returncode != 0 and not outcome.failures:
        ended = f"ended with status {process.returncode}"
    elif not ended and seen == 0:
        ended = "ran no test case"
    elif not ended and seen < planned:
        ended = f"ran {seen} of {planned} test cases"
    if ended:
        outcome.failures.append("the program " + ended)
    return outcome


def programs(build):
    """(name, command, folder, environment) of the tests that CMake knows."""
    listing = subprocess.run(["ctest", "--show-only=json-v1"], cwd=build, stdout=subprocess.PIPE, check=True).stdout
    tests = []
    for test in json.loads(listing)["tests"]:
        folder = next((p["value"] for p in test.get("properties", []) if p["name"] == "WORKING_DIRECTORY"), build)
        tests.append((test["name"], test.get("command", ["missing-" + test["name"]]), folder, {}))
    return tests


def scripts(build):
    tests = []
    for folder, _, files in os.walk(os.path.join(ROOT, "tests")):
        for file in files:
            if re.fullmatch(r"test_.*\.(sh|py)", file):
                path = os.path.join(folder, file)
                command = ["bash" if file.endswith(".sh") else sys.executable, path]
                tests.append((os.path.relpath(path, os.path.join(ROOT, "tests")), command, ROOT, {"BUILD_DIR": build}))
    return tests


def show(outcome, label):
    text = f"{outcome.passed} passed"
    if outcome.skips:
        text += f", {len(outcome.skips)} skipped"
    if outcome.failures:
        text += f", {len(outcome.failures)} FAILED"
    verdict = "FAILED " if outcome.failures else "ok     "
    print(f"{verdict} {label}{outcome.name:<32} {text} ({outcome.seconds:.1f} s)", flush=True)
    for reason in outcome.skips:
        print(f"        skipped: {reason}")
    if outcome.failures:
        lines = [line for line in outcome.output.splitlines() if not re.match(r"ok\b", line)]
        for line in lines[:60] + (["..."] + lines[-60:] if len(lines) > 120 else lines[60:]):
            print("        | " + line)
        for failure in outcome.failures:
            print(f"        failed: {failure}", flush=True)


def main():
    parser = argparse.ArgumentParser(description="Run the tests of a build folder.")
    parser.add_argument("build")
    parser.add_argument("--label", default="", help="put before the names")
    parser.add_argument("--only", default="", help="regular expression over test names")
    parser.add_argument("--scripts", action="store_true", help="the scripts below tests/ too")
    parser.add_argument("--scripts-only", action="store_true", help="only the scripts below tests/")
    parser.add_argument("--timeout", type=float, default=600, help="seconds a program may take")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)), help="programs at a time")
    options = parser.parse_args()
    build = os.path.abspath(options.build)
    shared = os.path.isdir(os.path.join(ROOT, "..", "shared"))
    label = options.label + ": " if options.label else ""

    tests = [] if options.scripts_only else programs(build)
    if options.scripts or options.scripts_only:
        tests += scripts(build)
    tests = [test for test in tests if re.search(options.only, test[0])]
    results = []
    with concurrent.futures.ThreadPoolExecutor(max_workers=max(1, options.jobs)) as pool:
        futures = []
        for test in tests:
            if os.path.exists(test[1][0]) or not os.path.isabs(test[1][0]):
                futures.append(pool.submit(run, test, options.timeout, shared))
            else:
                missing = Outcome(test[0])
                missing.failures.append("the program was not built")
                show(missing, label)
                results.append(missing)
        for future in concurrent.futures.as_completed(futures):
            outcome = future.result()
            show(outcome, label)
            results.append(outcome)
    if not results:
        missing = Outcome(f"tests of {options.build}")
        missing.failures.append("there are none")
        show(missing, label)
        results.append(missing)

    if "CHECK_RESULTS" in os.environ:
        with open(os.environ["CHECK_RESULTS"], "a", encoding="utf-8") as file:
            for outcome in sorted(results, key=lambda o: o.name):
                name = label + outcome.name
                file.write(f"pass\t{outcome.passed}\t{name}\n")
                if outcome.skips:
                    file.write(f"skip\t{len(outcome.skips)}\t{name}\n")
                for failure in outcome.failures:
                    file.write(f"fail\t1\t{name}: {' '.join(failure.split())[:200]}\n")
    return 1 if any(outcome.failures for outcome in results) else 0


if __name__ == "__main__":
    sys.exit(main())
