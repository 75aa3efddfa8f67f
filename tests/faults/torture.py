#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every call that can fail fails, one after the other, and the program must end as it promises.

torture.py PROGRAM [--only REGEX] [--groups LIST] [--places | --sample N] [--seconds S] [--seed N] [--kills N]
           [--jobs N] [--record FILE] [--keep]

PROGRAM is build/tests/entrollm-faults (tests/faults/faults.h), best with AddressSanitizer, which finds leaks, too. For
each operation, each group of calls, and each way in which those can fail, the n-th call fails, for n = 1, 2, ... until
the operation ends without having met the fault; with --sample N for N random n instead. With --places the n are the first
hundred of a group, and after them those to which the program comes by a way (the functions that called each other) that
it had not come before: to parse the thousandth number of a list fails as the tenth did. Of allocations to which an
earlier operation came by the same way it is each eighth. What changes the disk fails at every n also then. Looked at is
then:
  - no signal, no report of a sanitizer, no leak; it ends in time
  - interrupted calls, short counts and a leap of the clock change nothing; any other failure changes nothing, or is
    one error line that says what it was, and status 4
  - each result is under its name whole, or as it was before; nothing of an unfinished one is left
  - then the operation is done again undisturbed, with --resume where it has that, and its bytes are those of a run that
    nothing ever disturbed
The last two are looked at, too, when the program is killed at its n-th change of the disk, when power is lost there,
and, with --kills N, when it is killed at N random moments. Prints a table of counts; the status is 1 after a finding.
With --record a run that was ended goes on where it was; the seed, which its order comes from, is in the file.
"""

import argparse
import collections
import concurrent.futures
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time

import operations

# group -> ways to fail; + : all later calls fail, too
WAYS = {
    "memory": ["ENOMEM", "+ENOMEM"],
    "open": ["EMFILE", "EACCES", "EINTR", "+EIO"],
    "read": ["EIO", "EINTR", "short"],
    "write": ["ENOSPC", "EIO", "+ENOSPC", "EINTR", "short"],
    "sync": ["EIO", "ENOSPC", "EINTR"],
    "name": ["EIO", "ENOSPC"],
    "map": ["ENOMEM"],
    "thread": ["EAGAIN"],
    "stat": ["EIO", "EACCES", "+EIO"],
    "lock": ["ENOLCK", "EINTR"],
    "clock": ["+late"],
    "disk": ["kill", "loss", "loss-zero", "loss-mix", "loss-names"],
}
FIRST = 100  # with --places: so many of each group whatever way led to them
OFTEN = 8    # and of allocations each so many that an earlier operation had
HARMLESS = ("EINTR", "short", "late")
SANITIZER = re.compile(rb"(ERROR: (Address|Leak)Sanitizer|runtime error:|SUMMARY: )")
TIMEOUT = 120


class Finding(Exception):
    pass


class Run:
    """One operation in a folder of its own."""

    def __init__(self, driver, operation):
        self.driver, self.operation = driver, operation
        self.folder = tempfile.mkdtemp(prefix="run-", dir=driver.work)
        self.keep = os.path.join(self.folder, "keep")
        self.log = os.path.join(self.folder, "log")
        self.at = os.path.join(self.folder, "at") # what the operation sees
        os.mkdir(self.keep)
        os.mkdir(self.at)
        operation.prepare(driver.inputs, self.at)

    def environment(self, fault, trace):
        environment = dict(os.environ, ENTROLLM_FAULT_LOG=self.log, ENTROLLM_FAULT_KEEP=self.keep)
        environment["ASAN_OPTIONS"] = "detect_leaks=1:allocator_may_return_null=1:exitcode=77"
        environment["LSAN_OPTIONS"] = "exitcode=77"
        environment["UBSAN_OPTIONS"] = "print_stacktrace=1:halt_on_error=1:exitcode=77"
        environment.pop("ENTROLLM_FAULT", None)
        if trace:
            environment["ENTROLLM_FAULT_TRACE"] = "1"
        if fault:
            environment["ENTROLLM_FAULT"] = fault
        return environment

    def start(self, fault="", again=False, after=None, trace=False):
        """Status, standard output and standard error; `after` seconds it is killed."""
        return self.operation.run(self.driver.program, self.at, self.environment(fault, trace), again, after)

    def logged(self):
        """Whether the fault came, where, and the counts of calls (None when it did not reach its end)."""
        where, counts = None, None
        if os.path.exists(self.log):
            for line in open(self.log, encoding="ascii"):
                words = line.split()
                if words[0] == "fault" and where is None:
                    where = f"{words[3]} in {self.driver.function(words[4])}"
                elif words[0] == "calls":
                    counts = dict(zip(words[1::2], map(int, words[2::2])))
        return where, counts

    def places(self):
        """group -> the n at which the program came by a way of its own, and the first ones."""
        seen, chosen, before = set(), collections.defaultdict(set), 0
        for line in open(self.log, encoding="ascii"):
            words = line.split()
            if words[0] != "place":
                continue
            group, n, way = words[1], int(words[2]), words[3]
            new = (group, way) not in seen
            if new and group == "memory" and way in self.driver.known:
                before += 1
                new = before % OFTEN == 0
            if new or n <= FIRST:
                chosen[group].add(n)
            seen.add((group, way))
        self.driver.known |= {way for group, way in seen if group == "memory"}
        return {group: sorted(numbers) for group, numbers in chosen.items()}

    def done(self):
        if not self.driver.options.keep:
            shutil.rmtree(self.folder, ignore_errors=True)


def kind_of(way):
    return way.lstrip("+")


def judge(run, way, group, status, out, err):
    """Raises Finding where the end is not as promised."""
    operation, expected = run.operation, run.driver.expected[run.operation.name]
    ends_itself = kind_of(way) not in ("kill", "after") and not way.startswith("loss")
    if SANITIZER.search(err) or status == 77:
        found = SANITIZER.search(err)
        raise Finding("sanitizer: " + err[found.start() if found else 0:][:1500].decode(errors="replace"))
    if ends_itself:
        if status is None:
            raise Finding("does not end")
        if status < 0:
            raise Finding(f"killed by signal {-status}")
        if status == 0 and operation.prints and not operation.may_print(out, expected["out"], way, err):
            raise Finding(f"status 0, and another output: {out[:100]!r}")
        if status != 0 and kind_of(way) in HARMLESS:
            raise Finding(f"a harmless fault ends it: {status} {err[-200:]!r}")
        if status != 0 and not (group == "write" and err == b""):
            lines = [line for line in err.decode(errors="replace").splitlines() if re.match("entrollm: (?!note: )", line)]
            if not lines or (len(lines) > 1 and not way.startswith("+")): # where all fails, the end may, too
                raise Finding(f"status {status}, and not one error line: {err[-300:]!r}")
            if status != 4:
                raise Finding(f"status {status}: {lines[0]}")
            if group == "memory" and "memory" not in lines[0]:
                raise Finding(f"does not name memory: {lines[0]}")
    left = operations.tree(run.at)
    for name, data in left.items():
        if name in expected["before"] and data == expected["before"][name] and not (status == 0 and name in expected["after"]):
            continue
        if name in expected["after"] and data == expected["after"][name]:
            continue
        if operation.may_leave(name, way, group):
            continue
        raise Finding(f"{name}: {len(data)} bytes, neither the old nor the new ones (status {status})"
                      if name in expected["after"] or name in expected["before"] else f"{name} is left (status {status})")
    for name in expected["before"]:
        if name not in left and not operation.may_miss(name, way, left):
            raise Finding(f"{name} is gone (status {status})")
    if status == 0:
        for name in expected["after"]:
            if name not in left and not operation.may_lack(out, expected["out"], way, err):
                raise Finding(f"status 0 without {name}")


def judge_again(run):
    """The same once more, undisturbed."""
    if not run.operation.again:
        return
    expected = run.driver.expected[run.operation.name]
    status, out, err = run.start(again=True)
    if status != 0 or b"it is not used" in err:
        raise Finding(f"cannot be done again: {status} {err[-300:].decode(errors='replace')}")
    left = operations.tree(run.at)
    for name, data in expected["after"].items():
        if left.get(name) != data and name not in run.operation.varying:
            raise Finding(f"done again, {name} has other bytes")
    stray = sorted(set(left) - set(expected["after"]) - set(expected["before"]))
    if stray:
        raise Finding(f"done again, {stray} are left")


class Driver:
    def __init__(self, options):
        self.options, self.program = options, os.path.abspath(options.program)
        self.work = tempfile.mkdtemp(prefix="entrollm-torture-", dir=options.folder)
        self.lock = threading.Lock()
        self.counts = collections.Counter()  # (operation, group, way) -> runs
        self.done = set()                    # (operation, fault) of --record
        self.findings = {}                   # what was found -> [faults]
        self.expected = {}
        self.known = set()                   # ways to allocations, of the operations until now
        self.record = self.recorded()
        self.names = {}                      # address -> function
        self.random = random.Random(options.seed)
        self.until = time.monotonic() + options.seconds if options.seconds else None
        self.inputs = os.path.join(self.work, "inputs")
        operations.make_inputs(self.program, self.inputs)

    def recorded(self):
        """The file of --record, open for further lines: a JSON list each, [operation, fault, finding or null]."""
        if not self.options.record:
            return None
        lines = []
        if os.path.exists(self.options.record):
            with open(self.options.record, encoding="utf-8") as f:
                lines = [json.loads(line) for line in f if line.endswith("\n")]
        if lines:
            self.options.seed = lines[0][1]
            self.random.seed(self.options.seed)
        for name, fault, finding in lines[1:]:
            group, _, way = fault.split(":")
            self.counts[name, group, way] += 1
            self.done.add((name, fault))
            if finding:
                self.findings.setdefault(tuple(finding), []).append(fault)
        file = open(self.options.record, "a", encoding="utf-8")
        if not lines:
            file.write(json.dumps(["seed", self.options.seed, None]) + "\n")
        return file

    def count(self, operation, fault, finding):
        group, _, way = fault.split(":")
        with self.lock:
            self.counts[operation.name, group, way] += 1
            if self.record:
                self.record.write(json.dumps([operation.name, fault, finding]) + "\n")
                self.record.flush()

    def function(self, address):
        """The name of the function at an address of the program."""
        with self.lock:
            if address not in self.names:
                p = subprocess.run(["addr2line", "-f", "-e", self.program, address], stdout=subprocess.PIPE)
                self.names[address] = p.stdout.decode().split("\n")[0]
            return self.names[address]

    def over(self):
        return self.until is not None and time.monotonic() > self.until

    def undisturbed(self, operation):
        run = Run(self, operation)
        before = operations.tree(run.at)
        status, out, err = run.start(trace=self.options.places)
        if status != 0 or SANITIZER.search(err):
            sys.exit(f"{operation.name}: status {status} without a fault: {err.decode(errors='replace')}")
        _, counts = run.logged()
        self.expected[operation.name] = {"before": before, "after": operation.results(before, operations.tree(run.at)),
                                         "out": out, "calls": counts, "seconds": self.seconds(operation),
                                         "places": run.places() if self.options.places else {}}
        run.done()

    def seconds(self, operation):
        """What it takes when nobody else is at work: the least of three."""
        if not (self.options.show or (self.options.kills and operation.kills)):
            return None
        least = TIMEOUT
        for _ in range(3):
            run = Run(self, operation)
            start = time.monotonic()
            run.start()
            least = min(least, time.monotonic() - start)
            run.done()
        return least

    def once(self, operation, group, n, way):
        """False when the operation ended before the fault came."""
        later = "+" if way.startswith("+") else ""
        fault = f"{group}:{n}{later}:{kind_of(way)}"
        name = f"{group}:{n}:{way}"
        if (group, way) in operation.skips:
            return False
        if (operation.name, name) in self.done:
            return True
        run = Run(self, operation)
        try:
            where, finding = None, None
            try:
                status, out, err = run.start(fault)
                where, counts = run.logged()
                if where is None and not way.startswith("loss"):
                    return False
                judge(run, way, group, status, out, err)
                if group != "memory" or n % 8 == 0:
                    judge_again(run)
            except Finding as found:
                finding = self.found(operation, fault, where, str(found))
            self.count(operation, name, finding)
            return where is not None
        finally:
            run.done()

    def found(self, operation, fault, where, text):
        key = (operation.name, where, re.sub(r"\d+|0x[0-9a-f]+", "#", text.splitlines()[0])[:160])
        with self.lock:
            if key not in self.findings:
                self.findings[key] = []
                print(f"FINDING {operation.name} {fault} at {where}: {text}", flush=True)
            self.findings[key].append(fault)
        return key

    def kill_sometime(self, operation, number):
        fault = f"time:{number}:kill"
        if (operation.name, fault) in self.done:
            return
        run, finding = Run(self, operation), None
        after = random.Random(f"{self.options.seed} {operation.name} {number}").uniform(0, 1.15)
        after *= self.expected[operation.name]["seconds"]
        try:
            status, out, err = run.start(after=after)
            if status != 0:
                status = -9
            judge(run, "after", "disk", status, out, err)
            judge_again(run)
        except Finding as found:
            finding = self.found(operation, f"kill after {after:.4f} s", None, str(found))
        self.count(operation, fault, finding)
        run.done()

    def tasks(self, chosen):
        """(function, arguments) of all runs; each loop over n is one task, or each n of a sample or of --places."""
        if self.options.sample:
            every = []
            for operation in chosen:
                for group, ways in self.groups():
                    calls = self.expected[operation.name]["calls"].get(group, 0)
                    for way in ways if calls else ():
                        for _ in range(self.options.sample):
                            n = self.random.randint(1, calls)
                            every.append((self.once, (operation, group, n, way)))
            self.random.shuffle(every)
            return every[: self.options.most] if self.options.most else every
        wanted = [(operation, group, way) for operation in chosen for group, ways in self.groups() for way in ways
                  if self.expected[operation.name]["calls"].get(group, 0)]
        if not self.options.places:
            return [(self.all_of, task) for task in wanted]
        every = [(self.once, (operation, group, n, way)) for operation, group, way in wanted
                 for n in self.chosen_calls(operation, group, way)]
        self.random.shuffle(every)  # what is done when the time is over is a sample of all
        return every

    def chosen_calls(self, operation, group, way):
        """The n of --places. Of what changes the disk all; and the loss of power after the end."""
        expected = self.expected[operation.name]
        if group != "disk":
            return expected["places"].get(group, ())
        if not operation.again:
            return ()  # nothing of it is on a disk
        return range(1, expected["calls"]["disk"] + (2 if way.startswith("loss") else 1))

    def groups(self):
        wanted = self.options.groups.split(",") if self.options.groups else WAYS
        return [(group, WAYS[group]) for group in wanted if group in WAYS]

    def all_of(self, operation, group, way):
        n = 1
        while not self.over() and self.once(operation, group, n, way):
            n += 1

    def run(self):
        chosen = [o for o in operations.operations() if re.search(self.options.only, o.name)]
        for operation in chosen:
            self.undisturbed(operation)
        if self.options.show:
            for operation in chosen:
                e = self.expected[operation.name]
                print(f"{operation.name:<24} {e['seconds']:.2f} s", e["calls"])
                if self.options.places:
                    print(f"{'':<24} {'places':>6}", {group: len(numbers) for group, numbers in e["places"].items()})
            return 0
        tasks = self.tasks(chosen)
        kills = [(self.kill_sometime, (o, i)) for o in chosen if o.kills for i in range(self.options.kills)]
        if self.options.places:
            tasks += kills
            self.random.shuffle(tasks)
            kills = []
            print(f"{len(tasks)} faults, {len(self.done)} of them recorded", flush=True)
        with concurrent.futures.ThreadPoolExecutor(self.options.jobs) as pool:
            for future in [pool.submit(self.unless_over, *task) for task in tasks + kills]:
                future.result()
        return self.report(chosen)

    def unless_over(self, function, arguments):
        if not self.over():
            function(*arguments)

    def report(self, chosen):
        columns = [group for group in [*WAYS, "time"] if any(key[1] == group for key in self.counts)]
        print("| operation | " + " | ".join(columns) + " |\n|---" * 1 + "|---:" * len(columns) + "|")
        for operation in chosen:
            sums = [sum(n for key, n in self.counts.items() if key[:2] == (operation.name, c)) for c in columns]
            print(f"| {operation.name} | " + " | ".join(map(str, sums)) + " |")
        print(f"{sum(self.counts.values())} faults, {len(self.findings)} findings, seed {self.options.seed}")
        for key, faults in self.findings.items():
            print(f"  {key[0]} {key[1]}: {key[2]} ({len(faults)} times, as {faults[0]})")
        return 1 if self.findings else 0


def sampled(program, faults, jobs=2):
    """A driver for a test: so many random faults of some operations; after run() it has counts and findings."""
    driver = Driver(parse([program, "--sample", "8", "--most", str(faults), "--jobs", str(jobs)]))
    names = driver.random.sample([o.name for o in operations.operations()], 9)
    driver.options.only = "^(" + "|".join(names) + ")$"
    return driver


def parse(arguments):
    parser = argparse.ArgumentParser(description="Let every call fail.")
    parser.add_argument("program")
    parser.add_argument("--only", default="", help="regular expression over operations")
    parser.add_argument("--groups", default="", help="of calls, separated by commas")
    parser.add_argument("--sample", type=int, default=0, help="so many random n of each way instead of all")
    parser.add_argument("--places", action="store_true", help="of all n those to which another way leads")
    parser.add_argument("--most", type=int, default=0, help="with --sample: not more faults than this in all")
    parser.add_argument("--seconds", type=float, default=0, help="stop after this long")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--kills", type=int, default=0, help="kills at random moments of each operation that has results")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--record", default="", help="a file of what was done, to go on from")
    parser.add_argument("--folder", default=None, help="where to work (default: the folder for temporary files)")
    parser.add_argument("--keep", action="store_true", help="keep the folders of the runs")
    parser.add_argument("--show", action="store_true", help="only the numbers of calls")
    return parser.parse_args(arguments)


def main():
    driver = Driver(parse(None))
    try:
        return driver.run()
    finally:
        if not driver.options.keep:
            shutil.rmtree(driver.work, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
