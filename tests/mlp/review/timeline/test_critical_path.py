import json
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from typer.testing import CliRunner

from mlp.cli import app
from mlp.engine.types import facts_of
from mlp.review.timeline.critical_path import minutes, timeline
from mlp.review.timeline.report import as_markdown, rendered
from mlp.shared.errors import PlatformError
from tests.builders import ancestors, planned_with_airflow
from tests.mlp.review.capacity.builders import entry, plans, program

CLUSTER, NODES, ADDON = "aws:eks/cluster:Cluster", "aws:eks/nodeGroup:NodeGroup", "aws:eks/addon:Addon"
DATABASE, RELEASE = "aws:rds/instance:Instance", "kubernetes:helm.sh/v3:Release"
NOT_ON_THE_PATH = ("aws:rds/", "aws:ecr/", "aws:s3/", "aws:acm/", "docker-build:")


def seconds(type_, **inputs):
    return facts_of(type_).duration(inputs).seconds


def names(steps):
    return [one.name for one in steps]


def small():
    return program(
        entry(CLUSTER, "cluster", {}),
        entry(DATABASE, "database", {}),
        entry(NODES, "nodes", {}, "cluster"),
        entry(RELEASE, "service", {"chart": "any"}, "nodes", "database"),
    )


def test_the_longest_chain_decides_and_each_link_begins_when_the_one_before_is_there():
    path = timeline(small())
    assert names(path.chain) == ["cluster", "nodes", "service"]
    assert [one.start for one in path.chain] == [0, seconds(CLUSTER), seconds(CLUSTER) + seconds(NODES)]
    assert path.total == seconds(CLUSTER) + seconds(NODES) + seconds(RELEASE)


def test_what_is_beside_the_chain_has_slack_and_what_is_on_it_none():
    path = timeline(small())
    assert {one.slack for one in path.chain} == {0}
    assert path.steps["database"].slack == seconds(CLUSTER) + seconds(NODES) - seconds(DATABASE)
    assert names(path.slowest_others()) == ["database"]


def test_an_edge_is_worth_what_bring_up_is_shorter_without_it():
    path = timeline(small())
    best = path.unchain[0]
    assert (best.first, best.then) == ("cluster", "nodes")
    without = timeline(
        program(
            entry(CLUSTER, "cluster", {}),
            entry(DATABASE, "database", {}),
            entry(NODES, "nodes", {}),
            entry(RELEASE, "service", {"chart": "any"}, "nodes", "database"),
        )
    )
    assert best.saved == path.total - without.total


def test_an_edge_beside_which_another_way_is_as_long_is_worth_nothing():
    twice = program(
        entry(CLUSTER, "one", {}),
        entry(CLUSTER, "other", {}),
        entry(NODES, "nodes", {}, "one", "other"),
    )
    assert timeline(twice).unchain == ()


def test_a_dependency_on_a_component_is_one_on_all_that_it_holds_at_any_depth():
    parts = program(
        entry("eks:index:Cluster", "component"),
        entry(CLUSTER, "cluster", {}, parent="component"),
        entry("eks:index:VpcCniAddon", "inner", parent="component"),
        entry(ADDON, "cni", {}, "cluster", parent="inner"),
        entry(NODES, "nodes", {}, "component"),
    )
    assert names(timeline(parts).chain) == ["cluster", "cni", "nodes"]


def test_a_provider_is_waited_for_and_another_programs_resource_is_there_already():
    provider = entry("pulumi:providers:kubernetes", "provider", {}, "cluster")
    service = entry(RELEASE, "service", {}, "urn:of:another::program")
    parts = program(entry(CLUSTER, "cluster", {}), provider, replace(service, provider="provider"))
    assert names(timeline(parts).chain) == ["cluster", "provider", "service"]


def test_a_circle_is_one_clear_message():
    parts = program(entry(NODES, "a", {}, "b"), entry(NODES, "b", {}, "a"))
    with pytest.raises(PlatformError, match=r"resources wait for each other: [ab] -> [ab] -> [ab]; take out one"):
        timeline(parts)


def test_an_empty_plan_takes_no_time():
    assert timeline(program()).summary() == "platform test: about 0 s to bring up 0 resources, 0 in a chain"


GRAPHS = st.lists(
    st.tuples(st.sampled_from([CLUSTER, NODES, ADDON, DATABASE]), st.sets(st.integers(0, 11), max_size=3)), max_size=12
)


@given(GRAPHS)
def test_nothing_begins_before_what_it_needs_and_slack_is_what_may_be_lost_without_harm(graph):
    entries = [
        entry(type_, f"r{index}", {}, *(f"r{need}" for need in needs if need < index))
        for index, (type_, needs) in enumerate(graph)
    ]
    path = timeline(program(*entries))
    steps = path.steps
    for one in entries:
        starts = [steps[need].end for need in one.dependencies]
        assert steps[one.urn].start == max(starts, default=0)
        latest = [steps[other.urn].start + steps[other.urn].slack for other in entries if one.urn in other.dependencies]
        assert steps[one.urn].end + steps[one.urn].slack == min(latest, default=path.total)
    assert sum(one.seconds for one in path.chain) == path.total


def test_two_zones_take_a_database_longer_than_one_and_a_release_by_its_chart():
    assert seconds(DATABASE, multiAz=True) > seconds(DATABASE, multiAz=False)
    assert seconds(RELEASE, chart="airflow") > seconds(RELEASE, chart="cluster-autoscaler")
    assert seconds("random:index/randomId:RandomId") == seconds("pulumi:providers:aws") == 0


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_the_control_plane_and_its_nodes_decide_and_no_store_database_image_or_certificate_does(stack):
    path = timeline(plans(stack)[0])
    types = {one.type for one in path.chain}
    assert {CLUSTER, NODES, ADDON} <= types
    assert [one.name for one in path.chain if one.type.startswith(NOT_ON_THE_PATH)] == []
    assert 15 * 60 < path.total < 30 * 60


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_the_database_the_images_and_the_certificate_wait_for_nothing_of_the_cluster(stack):
    """However long each takes: they are made beside the cluster, and never after it."""
    platform = planned_with_airflow(stack)[0]
    of_the_cluster = {one.wanted.urn for type_ in (CLUSTER, NODES, ADDON) for one in platform.of_type(type_)}
    beside = [
        urn
        for urn, one in platform.resources.items()
        if one.wanted.type
        in (DATABASE, "docker-build:index:Image", "aws:acm/certificateValidation:CertificateValidation")
    ]
    assert len(beside) >= 3
    assert [urn for urn in beside if ancestors(platform, urn) & of_the_cluster] == []


def test_the_database_has_slack_before_the_services_that_need_it():
    dev = timeline(plans("dev")[0])
    [database] = [one for one in dev.steps.values() if one.type == DATABASE]
    assert database.slack > 300


def test_terminal_and_markdown_show_the_chain_the_slowest_others_and_what_would_help():
    path = timeline(small())
    terminal = StringIO()
    Console(file=terminal, width=160).print(rendered(path))
    for text in (terminal.getvalue(), as_markdown(path)):
        for expected in (
            "cluster",
            "nodes",
            "service",
            "database",
            "11:00",
            "nodes without cluster before it would save",
        ):
            assert expected in text
        assert "about 14 min to bring up 4 resources, 3 in a chain, 11 min of it cluster" in text


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_the_guide_shows_the_minutes_of_now(stack):
    guide = (Path(__file__).parents[4] / "docs" / "capacity.md").read_text()
    assert f"| {stack} | about {minutes(timeline(plans(stack)[0]).total)} |" in guide


def test_the_command_shows_each_program_and_writes_the_same_as_json(monkeypatch):
    monkeypatch.setattr("mlp.commands.capacity._plans", plans)
    runner = CliRunner()
    shown = " ".join(runner.invoke(app, ["timeline", "dev"]).output.split())
    assert "platform dev: about" in shown
    assert "workloads dev: about" in shown
    data = json.loads(runner.invoke(app, ["timeline", "dev", "--json", "-"]).output)
    platform = data["programs"][0]
    assert platform["total_s"] == timeline(plans("dev")[0]).total
    assert set(platform["chain"]) <= set(platform["steps"])
