"""The tables of instance types and versions agree with AWS's own data, where that is at hand."""

import gzip
import json
from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.facts.instance_types import INSTANCE_TYPES
from infra.facts.kubernetes_versions import ADDON_VERSIONS, STANDARD_SUPPORT_ENDS, TABLE_DATE
from infra.settings.settings import ClusterSettings
from infra.settings.windows import overlap

_RETIRED = {"p3.2xlarge", "p3.8xlarge", "p3.16xlarge"}
"""AWS's answer of 2026 no longer has these."""


@pytest.fixture(scope="module")
def described():
    """What `DescribeInstanceTypes` answers, as the AWS emulator has it."""
    return json.loads(gzip.decompress((files("moto") / "ec2/resources/instance_types.json.gz").read_bytes()))


@pytest.mark.parametrize("name", sorted(set(INSTANCE_TYPES) - _RETIRED))
def test_an_instance_type_is_as_aws_describes_it(described, name):
    ours, theirs = INSTANCE_TYPES[name], described[name]
    gpus = theirs.get("GpuInfo", {}).get("Gpus", [])
    assert ours.shape == (
        theirs["VCpuInfo"]["DefaultVCpus"],
        theirs["MemoryInfo"]["SizeInMiB"] / 1024,
        sum(gpu["Count"] for gpu in gpus),
    )
    assert ours.gpu == "".join(gpu["Name"] for gpu in gpus)
    assert theirs["ProcessorInfo"]["SupportedArchitectures"] == ["x86_64"]
    for gpu in gpus:  # sold as 24 GB, described as 22,888 MiB
        assert gpu["MemoryInfo"]["SizeInMiB"] / 1024 == pytest.approx(ours.gpu_memory_gib, rel=0.08)


@pytest.mark.parametrize("name", sorted(set(INSTANCE_TYPES) - _RETIRED))
def test_the_network_of_an_instance_has_addresses_for_its_pods(described, name):
    network = described[name]["NetworkInfo"]
    prefixes = network["MaximumNetworkInterfaces"] * (network["Ipv4AddressesPerInterface"] - 1)
    assert INSTANCE_TYPES[name].max_pods <= prefixes * 16 + 2


def test_the_default_version_has_support_and_addons_of_its_own():
    version = ClusterSettings().kubernetes_version
    assert STANDARD_SUPPORT_ENDS[version] > TABLE_DATE
    assert ADDON_VERSIONS[version].kube_proxy.startswith(f"v{version}.")
    assert set(ADDON_VERSIONS) <= set(STANDARD_SUPPORT_ENDS)


TIMES = st.tuples(st.integers(0, 23), st.integers(0, 59)).map(lambda time: "{:02}:{:02}".format(*time))


@given(TIMES, TIMES)
def test_windows_that_touch_do_not_overlap_and_equal_ones_do(one, other):
    first, last = sorted((one, other))
    if first != last:
        assert not overlap(weekly=f"sun:{first}-sun:{last}", daily=f"{last}-{first}")
        assert overlap(weekly=f"sun:{first}-sun:{last}", daily=f"{first}-{last}")


@pytest.mark.parametrize(
    ("weekly", "overlaps"),
    [
        ("sat:23:00-sun:00:15", True),
        ("sun:23:45-mon:00:45", True),
        ("sun:00:30-sun:01:30", False),
        ("sun:22:00-sun:23:30", False),
    ],
)
def test_windows_may_pass_midnight_and_the_end_of_the_week(weekly, overlaps):
    assert overlap(weekly=weekly, daily="23:30-00:30") is overlaps
