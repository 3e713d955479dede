import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from mlp.cli import app
from mlp.review.capacity.fit import capacity
from mlp.review.capacity.report import as_markdown, rendered, section
from tests.mlp.review.capacity.builders import (
    OBJECT,
    apart,
    changed,
    deployment,
    entry,
    plans,
    plans_with_airflow,
    pool,
    program,
    with_inputs,
)

GUIDE = Path(__file__).parents[4] / "docs" / "capacity.md"


def verdict(*entries):
    """The report on a plan of pools and objects; a pool is two entries."""
    return capacity([program(*(one for given in entries for one in (given if isinstance(given, tuple) else (given,))))])


@pytest.mark.parametrize("stack", ["dev", "prod", "local"])
def test_all_that_a_committed_stack_runs_fits_its_nodes(stack):
    assert capacity(plans(stack)).faults == []
    assert capacity(plans_with_airflow(stack)).faults == []


def test_everything_of_dev_stands_on_its_two_core_nodes_with_room_to_spare():
    report = capacity(plans("dev"))
    core, gpu = report.pools
    assert (core.nodes, gpu.nodes) == (2, 0)
    assert core.percent("cpu") <= 75
    assert core.percent("memory") <= 75
    assert core.requested["pods"] == report.standing >= 30


def test_a_training_job_starts_one_gpu_node_and_the_tasks_of_airflow_none():
    added = {one.source: one.added for one in capacity(plans_with_airflow("dev")).busy}
    assert added["workloads output RayJob"] == {"gpu": 1}
    assert added["airflow-release"] == {}


def with_memory(memory):
    def change(inputs):
        inputs["values"]["resources"]["requests"]["memory"] = memory

    return change


def test_a_service_that_outgrew_every_node_is_named_with_its_request_and_the_room_there_is():
    report = capacity(changed("dev", "mlflow-release", with_memory("9Gi")))
    [fault] = report.faults
    assert fault.startswith("Deployment mlflow/mlflow requests cpu 250m, memory 9216Mi and no node can fit it")
    assert "the nodes of pool core (t3.large, t3a.large, m6i.large) have at most cpu 1740m, memory 66" in fault
    assert "pool gpu has taint nvidia.com/gpu=true:NoSchedule that it does not tolerate" in fault


def test_services_that_need_one_node_more_than_the_fewest_say_how_many():
    def larger(inputs):
        inputs["values"]["replicaCount"] = 3
        inputs["values"]["resources"]["requests"]["memory"] = "4Gi"

    [fault] = capacity(changed("dev", "mlflow-release", larger)).faults
    assert fault.startswith("the minimum sizes (core 2, gpu 0) do not fit all pods that always run; unschedulable: ")
    assert "they need core 3 nodes: raise min_size to that, or request less" in fault


def test_pods_that_even_the_most_nodes_do_not_hold_are_one_fault_that_names_the_largest():
    def far_larger(inputs):
        inputs["values"]["replicaCount"] = 9
        inputs["values"]["resources"]["requests"]["memory"] = "3Gi"

    [fault] = capacity(changed("dev", "mlflow-release", far_larger)).faults
    assert "even the maximum sizes (core 4, gpu 2) leave out Deployment mlflow/mlflow, " in fault
    assert fault.endswith(" more")


def test_a_gpu_worker_must_leave_its_node_room_for_the_daemon_sets():
    def greedy(inputs):
        inputs["values"]["resources"]["requests"]["memory"] = "3Gi"

    faults = capacity(changed("dev", "monitoring-gpus", greedy)).faults
    assert [fault.partition(" requests")[0] for fault in faults] == ["RayJob training/fashion-mnist worker gpu"]
    assert "the nodes of pool gpu (g6.xlarge, g5.xlarge) have at most cpu 3670m" in faults[0]


def test_daemon_sets_that_are_too_much_for_a_node_name_the_pool_and_the_largest():
    [fault, *_] = capacity(changed("dev", "monitoring-gpus", with_memory("15Gi"))).faults
    assert fault.startswith("a node of pool gpu (g6.xlarge, g5.xlarge) does not fit its daemon sets")
    assert "the most of it DaemonSet node-monitoring/dcgm-exporter with cpu 50m, memory 15360Mi" in fault


def test_a_job_that_does_not_fit_even_the_most_nodes_is_a_fault():
    container = {"name": "ray", "resources": {"requests": {"cpu": "1500m"}}}
    cluster = {
        "headGroupSpec": {"template": {"spec": {"containers": []}}},
        "workerGroupSpecs": [{"groupName": "w", "replicas": 5, "template": {"spec": {"containers": [container]}}}],
    }
    job = {
        "apiVersion": "ray.io/v1",
        "kind": "RayJob",
        "metadata": {"name": "train"},
        "spec": {"rayClusterSpec": cluster},
    }
    report = capacity([program(*pool(size=(1, 4)), outputs={"jobs": [job]})])
    [fault] = report.faults
    assert fault.startswith("RayJob default/train worker w")
    assert "even with every pool at its maximum (core 4)" in fault


HALF = {"cpu": "1000m"}  # two of them are more than one node has
TOLERATES: dict[str, Any] = {"tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]}
NODE_AFFINITY = {
    "nodeAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [
                {"matchExpressions": [{"key": "ml-platform/pool", "operator": "NotIn", "values": ["core"]}]}
            ]
        }
    }
}
SPREAD: dict[str, Any] = {
    "topologySpreadConstraints": [
        {
            "maxSkew": 1,
            "topologyKey": "topology.kubernetes.io/zone",
            "whenUnsatisfiable": "DoNotSchedule",
            "labelSelector": {"matchLabels": {"app": "web"}},
        }
    ]
}


@pytest.mark.parametrize(
    ("parts", "fits"),
    [
        ([pool(), deployment("web", HALF, replicas=2)], True),
        ([pool(), deployment("web", HALF, replicas=3)], False),
        ([pool(), deployment("web", {"cpu": "900m"}, replicas=4)], True),
        ([pool(), deployment("web", {"memory": "3Gi"}, replicas=4)], True),
        ([pool(), deployment("web", {"memory": "3Gi"}, replicas=5)], False),
        ([pool(), deployment("web", replicas=220)], True),
        ([pool(), deployment("web", replicas=221)], False),
        ([pool(), deployment("agent", {"cpu": "950m"}, kind="DaemonSet"), deployment("web", HALF)], False),
        ([pool(), deployment("web", nodeSelector={"ml-platform/pool": "core"})], True),
        ([pool(), deployment("web", nodeSelector={"ml-platform/pool": "other"})], False),
        ([pool(), deployment("web", nodeSelector={"kubernetes.io/os": "linux"})], True),
        ([pool(), deployment("web", affinity=NODE_AFFINITY)], False),
        ([pool(), pool("more"), deployment("web", affinity=NODE_AFFINITY)], True),
        ([pool("gpu", gpu=True, types=("g6.xlarge",)), deployment("web")], False),
        ([pool("gpu", gpu=True, types=("g6.xlarge",)), deployment("web", **TOLERATES)], True),
        ([pool("gpu", gpu=True, types=("g6.xlarge",)), deployment("web", {"nvidia.com/gpu": "2"}, **TOLERATES)], False),
        ([pool(), deployment("web", {"nvidia.com/gpu": "1"})], False),
        ([pool(), deployment("web", {"example.com/fpga": "1"})], False),
        ([pool(), deployment("web", replicas=2, affinity=apart("web"))], True),
        ([pool(), deployment("web", replicas=3, affinity=apart("web"))], False),
        ([pool(), deployment("db", affinity=apart("web")), deployment("web", replicas=2)], True),
        ([pool(size=(1, 1)), deployment("db", affinity=apart("web")), deployment("web")], False),
        ([pool(zones=1), deployment("web", replicas=2, affinity=apart("web", "topology.kubernetes.io/zone"))], False),
        ([pool(zones=2), deployment("web", replicas=2, affinity=apart("web", "topology.kubernetes.io/zone"))], True),
        ([pool(zones=2), deployment("web", replicas=5, **SPREAD)], True),
        ([pool(zones=2), deployment("web", {"cpu": "600m"}, replicas=4, **SPREAD), deployment("db", HALF)], False),
        ([deployment("web")], False),
    ],
    ids=[
        "one a node",
        "one too many",
        "CPU fills up",
        "memory fills up",
        "memory overflows",
        "110 pods a node",
        "pods overflow",
        "daemon sets take their share",
        "a pool by name",
        "a pool that is not there",
        "a label of every node",
        "not on core",
        "not on core but on another",
        "a taint",
        "a taint tolerated",
        "more GPUs than a node has",
        "a GPU where there is none",
        "a resource that nothing has",
        "apart",
        "apart on too few nodes",
        "another apart from it, larger first",
        "another apart from it on one node",
        "apart by zone in one zone",
        "apart by zone",
        "spread over zones",
        "spread leaves no room",
        "no nodes",
    ],
)
def test_pods_are_placed_by_the_rules_that_the_scheduler_keeps(parts, fits):
    assert (verdict(*parts).faults == []) == fits


ZONE = "topology.kubernetes.io/zone"


@pytest.mark.parametrize(
    ("core", "rules", "replicas", "advice"),
    [
        (pool(size=(1, 3)), {"affinity": apart("web")}, 3, "they need core 3 nodes"),
        (pool(size=(1, 3)), {"affinity": apart("web")}, 4, "even the maximum sizes (core 3) leave out Deployment"),
        (pool(size=(1, 4), zones=3), {"affinity": apart("web", ZONE)}, 3, "they need core 3 nodes"),
        (
            pool(size=(1, 4), zones=2),
            {"affinity": apart("web", ZONE)},
            3,
            "even the maximum sizes (core 4) leave out",
        ),
        (
            pool(size=(1, 4), zones=1),
            {"affinity": apart("web", ZONE)},
            2,
            "even the maximum sizes (core 4) leave out",
        ),
    ],
    ids=["apart on three nodes", "apart on one node more", "apart in three zones", "in one zone more", "in one zone"],
)
def test_a_pool_grows_for_pods_that_must_stand_apart_only_where_that_gives_them_a_place(core, rules, replicas, advice):
    [fault] = verdict(core, deployment("web", replicas=replicas, **rules)).faults
    assert advice in fault


def spread(max_skew):
    [rule] = SPREAD["topologySpreadConstraints"]
    return {"topologySpreadConstraints": [{**rule, "topologyKey": "kubernetes.io/hostname", "maxSkew": max_skew}]}


@pytest.mark.parametrize(
    ("max_skew", "beside", "fits"),
    [(1, 1, True), (1, 2, False), (2, 2, True), (2, 3, False), (None, 2, False)],
    ids=["one more", "two more", "two more of two", "three more of two", "Kubernetes' own skew"],
)
def test_pods_are_spread_as_far_as_the_constraint_says_and_no_further(max_skew, beside, fits):
    """One of two nodes is full of others, so that all replicas stand on the other."""
    rules = spread(max_skew)
    if max_skew is None:
        del rules["topologySpreadConstraints"][0]["maxSkew"]
    full = deployment("db", {"cpu": "1900m"}, affinity=apart("db"))
    assert (verdict(pool(), full, deployment("web", {"cpu": "100m"}, replicas=beside, **rules)).faults == []) == fits


def test_a_job_that_comes_adds_nodes_for_what_it_must_stand_apart_from():
    def with_jobs(replicas):
        job = deployment("web", replicas=0, kind="Job", affinity=apart("web"))
        spec = {**job.inputs["spec"], "parallelism": replicas}
        cron = {"schedule": "@daily", "jobTemplate": {"spec": spec}}
        kind = {"apiVersion": "batch/v1", "kind": "CronJob", "spec": cron}
        return entry(OBJECT, "web", {**job.inputs, **kind})

    report = verdict(pool(size=(1, 3)), with_jobs(3))
    assert (report.faults, [dict(one.added) for one in report.busy]) == ([], [{"core": 2}])
    [fault] = verdict(pool(size=(1, 3)), with_jobs(4)).faults
    assert "unschedulable beside the pods that always run, even with every pool at its maximum (core 3)" in fault


def test_a_packing_that_first_fit_in_any_order_misses_is_found():
    sizes = (1200, 1100, 800, 700)  # of 1930: 1200 + 700, and 1100 + 800
    report = verdict(pool(), *(deployment(f"d{size}", {"cpu": f"{size}m"}) for size in reversed(sizes)))
    assert report.faults == []


def test_rules_that_the_scheduler_only_prefers_hinder_nothing():
    term = {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "web"}}}
    preferred = {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 100, "podAffinityTerm": term}]}
    [spread] = SPREAD["topologySpreadConstraints"]
    wishes: dict[str, Any] = {
        "affinity": {"podAntiAffinity": preferred},
        "topologySpreadConstraints": [{**spread, "whenUnsatisfiable": "ScheduleAnyway"}],
    }
    web = deployment("web", {"cpu": "600m"}, replicas=4, **wishes)
    assert verdict(pool(zones=2), web, deployment("db", HALF)).faults == []


@pytest.mark.parametrize(("effect", "fits"), [("PREFER_NO_SCHEDULE", True), ("NO_EXECUTE", False)])
def test_a_taint_that_only_prefers_other_pods_keeps_none_away(effect, fits):
    template, group = pool()
    tainted = with_inputs(group, taints=[{"key": "old", "value": "true", "effect": effect}])
    assert (verdict((template, tainted), deployment("web")).faults == []) == fits


@pytest.mark.parametrize(("replicas", "survives"), [(1, True), (2, False)])
def test_it_is_reported_whether_the_others_hold_all_when_a_node_is_lost(replicas, survives):
    [core] = verdict(pool(), deployment("web", HALF, replicas=replicas)).pools
    assert core.survives_a_loss is survives


def test_the_summary_is_one_line_with_sums_or_the_first_fault():
    fine = verdict(pool(), deployment("web", HALF)).summary()
    assert (
        fine == "test: 1 pod fits the nodes; core 2 x t3.large: cpu 1000m of 3860m (26 %), memory 0Mi of 13675Mi (0 %)"
    )
    assert verdict(deployment("web")).summary().startswith("test: 1 fault: Deployment test/web requests nothing and no")


def test_markdown_and_terminal_show_the_same_sums_and_every_fault():
    report = verdict(pool(), pool("gpu", gpu=True, types=("g6.xlarge",), size=(0, 1)), deployment("web", {"cpu": "5"}))
    terminal = StringIO()
    Console(file=terminal, width=200).print(rendered(report))
    for text in (as_markdown(report), terminal.getvalue()):
        assert "0m/3860m (0 %)" in text
        assert "14162Mi a node" in text
        assert report.faults[0][:60] in text


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_the_guide_shows_the_sums_of_now(stack):
    report = capacity(plans(stack))
    cpu, memory = (
        part.removeprefix("cpu ").removeprefix("memory ") for part in report.summary().split(": ")[2].split(", ")
    )
    [row] = [
        line for line in GUIDE.read_text().splitlines() if line.startswith(f"| {stack} | {report.pools[0].nodes} x")
    ]
    assert row.endswith(f"| {report.standing} | {cpu} | {memory} |")


def run(*arguments):
    return CliRunner().invoke(app, ["capacity", *arguments])


def test_in_a_report_for_reviewers_a_fault_may_not_be_overlooked():
    fine, faulty = verdict(pool(), deployment("web")), verdict(deployment("job-<inputs>"))
    assert not section(fine).unfolded
    assert section(faulty).unfolded
    assert "job-&lt;inputs&gt; requests nothing" in as_markdown(faulty)  # GitHub would take it for HTML


def test_the_command_shows_the_sums():
    result = run("local")
    assert result.exit_code == 0
    assert capacity(plans("local")).summary() in " ".join(result.output.split())
    data = json.loads(run("local", "--json", "-").output)
    assert data["fits"]
    assert [one["name"] for one in data["pools"]] == ["core", "gpu"]


def test_the_command_exits_with_3_when_something_cannot_run(monkeypatch, tmp_path):
    monkeypatch.setattr(
        "mlp.commands.capacity._plans",
        lambda stack: changed(stack, "mlflow-release", with_memory("9Gi")),
    )
    result = run("dev", "--json", str(tmp_path / "capacity.json"))
    assert result.exit_code == 3
    assert "Deployment mlflow/mlflow" in json.loads((tmp_path / "capacity.json").read_text())["faults"][0]
