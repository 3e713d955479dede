"""How long a plan takes, beside the least that it could, or beside what it took at another revision.

    python -m bench.plan [--runs 10] [--stack prod]
    python -m bench.plan --against REVISION [--runs 10] [--stack prod]

The least is importing the SDKs, and 1.5 ms a resource; the first form also plans 100 and 400 buckets in one process:
the time for each resource should stay the same. The second runs this checkout's `mlp plan` and that of a copy of the
other revision's files, with this interpreter and its packages. Both forms alternate the two sides, each in a process of
its own. Ratios are medians of pairs, with the 95 % interval of their bootstrap.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from bench.paired import paired_ratio
from mlp.plan.revisions import files_of, last_line, run_plan
from mlp.shared.checkout import REPOSITORY
from mlp.shared.errors import PlatformError

S_A_RESOURCE = 0.0015
LIST_MODULES = """
import json, runpy, sys
sys.argv = ["mlp", "plan", {stack!r}, "--json", "/dev/null"]
try:
    runpy.run_module("mlp.cli", run_name="__main__", alter_sys=True)
except SystemExit:
    pass
print(json.dumps([name for name in sys.modules if name.split(".")[0].startswith("pulumi")]))
"""
GROWTH = """
import time
import pulumi_aws as aws
from mlp.engine.deployment import run_declaration
from mlp.engine.clouds.recording import RecordingCloud

def declare(count):
    for number in range(count):
        aws.s3.Bucket(f"bucket-{number}")

def seconds(count):
    started = time.perf_counter()
    run_declaration(lambda: declare(count), RecordingCloud())
    return time.perf_counter() - started

seconds(10)
pairs = [(seconds(100), seconds(400)) for _ in range(5)]
print(sorted(large / small for small, large in pairs)[2])
"""


def timed(*arguments: str, stdin: str = "") -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, *arguments], input=stdin, text=True, check=True, capture_output=True)
    return time.perf_counter() - started


def answer(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], text=True, check=True, capture_output=True)
    return done.stdout.splitlines()[-1]


@dataclass(frozen=True)
class Planned:
    """One `mlp plan`: seconds by the clock, seconds of processor time, and how many resources it has."""

    wall_s: float
    cpu_s: float
    resources: int


def planned(files: Path, stack: str) -> Planned:
    """Run `mlp plan` of the code in `files`. Raises SystemExit where it fails."""
    with tempfile.TemporaryDirectory() as folder:
        printed = Path(folder) / "plan.json"
        cpu, started = cpu_of_children(), time.perf_counter()
        result = run_plan(files, stack, printed)
        wall_s, cpu_s = time.perf_counter() - started, cpu_of_children() - cpu
        if result.returncode != 0:
            raise SystemExit(f"`mlp plan {stack}` of {files} failed: {last_line(result)}")
        programs = json.loads(printed.read_text())["programs"].values()
    return Planned(wall_s, cpu_s, sum(len(program["resources"]) for program in programs))


def cpu_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def beside_revision(revision: str, stack: str, runs: int) -> None:
    """Print how long this checkout's plan takes beside that of `revision`."""
    with files_of(revision) as files:
        sides = (REPOSITORY, files)
        first = [planned(side, stack) for side in sides]  # not counted: it compiles what it imports
        pairs = []
        for number in range(runs):
            # Each side goes first in every other pair, so that what drifts meets both.
            order = (0, 1) if number % 2 == 0 else (1, 0)
            measured = {index: planned(sides[index], stack) for index in order}
            pairs.append((measured[0], measured[1]))
    here, there = zip(*pairs, strict=True)
    print(f"{stack}: {first[0].resources} resources here, {first[1].resources} at {revision}; {runs} pairs")
    compare("seconds", [one.wall_s for one in here], [one.wall_s for one in there], revision)
    compare("processor seconds", [one.cpu_s for one in here], [one.cpu_s for one in there], revision)


def compare(what: str, here: list[float], there: list[float], revision: str) -> None:
    """Print the medians of both sides, and that of the paired ratios."""
    ours, others = statistics.median(here), statistics.median(there)
    print(f"{what}: here {ours:.2f}, at {revision} {others:.2f}, ratio {paired_ratio(here, there)}")


def beside_the_least(stack: str, runs: int) -> None:
    """Print how long a plan takes beside importing the SDKs and 1.5 ms a resource."""
    resources = planned(REPOSITORY, stack).resources
    modules = json.loads(answer(LIST_MODULES.format(stack=stack)))
    imports = "\n".join(f"import {name}" for name in modules)
    pairs = [(planned(REPOSITORY, stack).wall_s, timed("-", stdin=imports)) for _ in range(runs)]
    whole, bare = zip(*pairs, strict=True)
    least = [one + resources * S_A_RESOURCE for one in bare]
    print(f"{stack}: {resources} resources, {len(modules)} modules of the SDKs, {runs} runs each")
    print(f"plan, whole command: median {statistics.median(whole):.2f} s")
    print(f"importing the SDKs alone: median {statistics.median(bare):.2f} s")
    print(f"ratio to that import + {S_A_RESOURCE * 1000:g} ms a resource: {paired_ratio(whole, least)}")
    print(f"400 resources beside 100: {float(answer(GROWTH)):.2f} times the time")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", metavar="REVISION", help="a git revision whose plan is timed beside this one's")
    parser.add_argument("--runs", type=int, default=10, help="pairs of runs")
    parser.add_argument("--stack", default="prod")
    given = parser.parse_args()
    print(f"{platform.machine()}, Python {platform.python_version()}, pulumi {version('pulumi')}")
    try:
        if given.against:
            beside_revision(given.against, given.stack, given.runs)
        else:
            beside_the_least(given.stack, given.runs)
    except PlatformError as error:  # no such revision
        raise SystemExit(str(error)) from None


if __name__ == "__main__":
    main()
