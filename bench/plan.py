"""The time of a plan against its lower bound: importing the SDKs, and 1.5 ms per resource.

`python bench/plan.py [--runs 5] [--stack prod]` alternates the two, each in a process of its own, and reports medians.
It also plans 100 and 400 buckets in one process: the time for each resource should stay the same.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import time
from importlib.metadata import version

SECONDS_PER_RESOURCE = 0.0015
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--stack", default="prod")
    given = parser.parse_args()
    plan = subprocess.run(
        [sys.executable, "-m", "mlp.cli", "plan", given.stack, "--json", "-"],
        text=True,
        check=True,
        capture_output=True,
    )
    resources = sum(len(program["resources"]) for program in json.loads(plan.stdout)["programs"].values())
    modules = json.loads(answer(LIST_MODULES.format(stack=given.stack)))
    imports = "\n".join(f"import {name}" for name in modules)
    pairs = [
        (timed("-m", "mlp.cli", "plan", given.stack, "--json", "/dev/null"), timed("-", stdin=imports))
        for _ in range(given.runs)
    ]
    floor = resources * SECONDS_PER_RESOURCE
    ratios = [whole / (bare + floor) for whole, bare in pairs]
    print(f"{platform.machine()}, Python {platform.python_version()}, pulumi {version('pulumi')}")
    print(f"{given.stack}: {resources} resources, {len(modules)} modules of the SDKs, {given.runs} runs each")
    print(f"plan, whole command: median {statistics.median(whole for whole, _ in pairs):.2f} s")
    print(f"importing the SDKs alone: median {statistics.median(bare for _, bare in pairs):.2f} s")
    print(
        f"ratio to that import + {SECONDS_PER_RESOURCE * 1000:g} ms a resource: median {statistics.median(ratios):.2f}"
        f", {min(ratios):.2f} to {max(ratios):.2f}"
    )
    print(f"400 resources beside 100: {float(answer(GROWTH)):.2f} times the time")


if __name__ == "__main__":
    main()
