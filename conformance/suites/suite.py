"""What the runners of the suites share: reading TAP, and the table of results, one line for each test.

    # RUNTIME	VERSION	DATE	BUILD	WORDS
    VERDICT	TEST	REASON
    # complete	SECONDS

WORDS are those that chose a part of the suite; without them all of it ran. The last line is missing where a run was cut off.
"""

import datetime
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

RESULT = re.compile(r"^(ok|not ok) \d+ (?:- )?(.*?)(?: in \d+(?:ms|sec))?(?: # skip ?(.*))?$")


def tap(lines):
    """The verdict and name of each test of a TAP document, with the reason of a skip or the comments on a failure."""
    count, planned = 0, 0
    for number, line in enumerate(lines):
        if re.fullmatch(r"1\.\.\d+", line):
            planned = int(line[3:])
        result = RESULT.match(line)
        if not result:
            continue
        count += 1
        verdict, name, skipped = result.groups()
        if verdict == "not ok":
            yield "fail", name, comments(lines[number + 1:])
        elif skipped is not None:
            yield "skip", name, [skipped]
        else:
            yield "pass", name, []
    if count != planned or not planned:
        yield "fail", "all of it", [f"{count} tests of {planned}"]


def comments(lines):
    """The comments that the lines begin with."""
    about = []
    for line in lines:
        if not line.startswith("#"):
            break
        about.append(line.lstrip("# "))
    return about


def runtime_path(name):
    """The runtime's own path, for its basename and because the suites change directories."""
    path = shutil.which(name)
    return os.path.realpath(path) if path else sys.exit(f"{name}: no such command")


def version(runtime):
    """The runtime's own name and version: corten's first line is for engines that look for runc's."""
    lines = subprocess.run([runtime, "--version"], capture_output=True, text=True).stdout.splitlines()
    named = [line for line in lines if line.startswith("corten version")]
    return (named or lines or ["unknown"])[0]


class Table:
    """Writes results as they come, to a file and to standard output."""

    def __init__(self, path, runtime, words=()):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        self.file = open(path, "w")
        self.totals = {}
        self.runtime = runtime
        self.began = time.monotonic()
        date = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d")
        build = hashlib.sha256(Path(runtime).read_bytes()).hexdigest()[:8]
        print("#", "\t".join([runtime, version(runtime), date, build, " ".join(words)]), file=self.file, flush=True)

    def add(self, verdict, test, reason=""):
        self.totals[verdict] = self.totals.get(verdict, 0) + 1
        line = "\t".join([verdict, test, reason.replace("\t", " ")])
        print(line, file=self.file, flush=True)
        print(line, flush=True)

    def finish(self, complete=True):
        """The end of a run, which may have been cut off: the exit status of its program."""
        if complete:
            print(f"# complete\t{time.monotonic() - self.began:.0f}", file=self.file, flush=True)
        totals = ", ".join(f"{count} {verdict}" for verdict, count in sorted(self.totals.items()))
        print(f"{self.runtime}: {totals or 'nothing'}{'' if complete else '; cut off'}")
        return int(not complete or "fail" in self.totals)
