import json

import pytest

from policies.rules.model import STACK, UNKNOWN
from tests.policies.builders import DIGEST, messages, resource

JOB = "kubernetes:batch/v1:Job"
RELEASE = "kubernetes:helm.sh/v3:Release"
OURS = "123456789012.dkr.ecr.us-east-1.amazonaws.com/ml-platform/prod/mlflow"
SIZED = {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"memory": "1Gi"}}
SAFE = {"runAsNonRoot": True, "runAsUser": 1000}
GOOD = {"name": "main", "image": f"postgres:17{DIGEST}", "resources": SIZED, "securityContext": SAFE}
RULES = ("images-by-digest", "pods-bounded", "pods-not-root")


def pod(*containers, **spec):
    return {"spec": {"template": {"spec": {"containers": list(containers), **spec}}}}


def spoken(type_, properties):
    """What each rule about pods says of one resource, without the advice."""
    plan = resource(type_, properties)
    return {rule: [one.split(";")[0] for one in found] for rule in RULES if (found := messages(rule, plan))}


@pytest.mark.parametrize(
    ("type_", "properties"),
    [
        (JOB, pod(GOOD)),
        (JOB, pod({**GOOD, "securityContext": None}, securityContext=SAFE)),
        (JOB, pod({**GOOD, "image": UNKNOWN, "resources": UNKNOWN, "securityContext": UNKNOWN})),
        (JOB, pod({**GOOD, "securityContext": {"runAsNonRoot": True}}, securityContext={"runAsUser": 1000})),
        (JOB, pod({**GOOD, "securityContext": {"runAsNonRoot": True, "runAsUser": UNKNOWN}})),
        (JOB, pod({**GOOD, "securityContext": {"runAsNonRoot": UNKNOWN}})),
        (JOB, pod({**GOOD, "securityContext": {"runAsNonRoot": True}}, securityContext=UNKNOWN)),
        (JOB, pod({"name": "a selector, not a container"})),
        ("kubernetes:apps/v1:DeploymentPatch", pod({"name": "main", "image": "mlflow"})),
        ("kubernetes:core/v1:ConfigMap", {"data": {"job.json": json.dumps(pod(GOOD)), "text": "{not json"}}),
        ("aws:ec2/vpc:Vpc", pod({"image": "any"})),
        (RELEASE, {"values": {"image": {"repository": OURS, "digest": DIGEST[1:]}, "resources": SIZED}}),
        (RELEASE, {"values": {"image": {"repository": OURS, "tag": f"1{DIGEST}"}}}),
        (RELEASE, {"values": {"image": {"repository": OURS, "tag": UNKNOWN}}}),
        (RELEASE, {"values": {"image": {"tag": "v1.35.0"}, "sidecar": {"image": f"{OURS}{DIGEST}"}}}),
        (RELEASE, {"values": {"image": {"repository": "busybox", "tag": "1.36"}, "other": {"repository": "busybox"}}}),
        (RELEASE, {"values": {"claim": {"resources": {"requests": {"storage": "1Gi"}}}, "resources": {}}}),
        (RELEASE, {"values": {"securityContexts": {"containers": {"runAsNonRoot": True, "runAsUser": 1}}}}),
        (RELEASE, {"values": UNKNOWN}),
    ],
)
def test_a_pod_that_may_run_is_not_spoken_of(type_, properties):
    assert spoken(type_, properties) == {}


@pytest.mark.parametrize(
    ("properties", "found"),
    [
        (
            pod({**GOOD, "image": "postgres:17"}),
            {"images-by-digest": ["image postgres:17 of thing can change under its name"]},
        ),
        (
            pod(GOOD, initContainers=[{**GOOD, "image": "busybox:latest"}]),
            {"images-by-digest": ["image busybox:latest of thing can change under its name"]},
        ),
        (
            pod({**GOOD, "resources": {"requests": {"cpu": "1"}}}),
            {"pods-bounded": ["container main of thing has no requests.memory, limits.memory"]},
        ),
        (
            pod({key: value for key, value in GOOD.items() if key != "resources"}),
            {"pods-bounded": ["container main of thing has no requests.cpu, requests.memory, limits.memory"]},
        ),
        (
            pod({**GOOD, "securityContext": {}}),
            {"pods-not-root": ["container main of thing has runAsNonRoot None"]},
        ),
        (
            pod({**GOOD, "securityContext": {"runAsNonRoot": False}}, securityContext=SAFE),
            {"pods-not-root": ["container main of thing has runAsNonRoot False"]},
        ),
        (
            pod({**GOOD, "securityContext": {"runAsNonRoot": True}}, securityContext={"runAsUser": 0}),
            {"pods-not-root": ["container main of thing has runAsUser 0, which is root"]},
        ),
        (
            pod({**GOOD, "securityContext": {"runAsNonRoot": True}}),
            {"pods-not-root": ["container main of thing has runAsNonRoot and no runAsUser"]},
        ),
        (
            pod({**GOOD, "securityContext": {**SAFE, "privileged": True}}),
            {"pods-not-root": ["container main of thing has privileged true"]},
        ),
    ],
    ids=["tag", "latest", "no limit", "no size", "may be root", "is root", "user 0", "user by name", "privileged"],
)
@pytest.mark.parametrize("form", ["resource", "manifest", "output"])
def test_a_pod_that_may_not_run_is_named_wherever_it_is_written(properties, found, form):
    manifest = {"data": {"job.json": json.dumps(properties)}}
    written = {
        "resource": (JOB, properties),
        "manifest": ("kubernetes:core/v1:ConfigMap", manifest),
        "output": (STACK, {"training_job": properties}),
    }
    assert spoken(*written[form]) == found


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ({"image": {"repository": OURS, "tag": "1"}}, {"images-by-digest": [f"image {OURS}:1 of thing can change"]}),
        ({"image": {"repository": OURS}}, {"images-by-digest": [f"image {OURS}:default of thing can change"]}),
        ({"image": {"repository": "a", "tag": "latest"}}, {"images-by-digest": ["image a:latest of thing can change"]}),
        ({"sidecar": {"image": "b:latest"}}, {"images-by-digest": ["image b:latest of thing can change"]}),
        ({"sidecar": {"image": "host:5000/b"}}, {"images-by-digest": ["image host:5000/b of thing can change"]}),
        ({"sidecar": {"image": f"{OURS}:1"}}, {"images-by-digest": [f"image {OURS}:1 of thing can change"]}),
        ({"extraContainers": [{**GOOD, "image": "c:1"}]}, {"images-by-digest": ["image c:1 of thing can change"]}),
        ({"web": {"resources": {"limits": {"cpu": 1}}}}, {"pods-bounded": ["values of thing have resources without "]}),
        ({"web": {"securityContext": {"runAsUser": 0}}}, {"pods-not-root": ["values of thing have runAsUser 0"]}),
        ({"pod": {"runAsNonRoot": False}}, {"pods-not-root": ["values of thing have runAsNonRoot False"]}),
        ({"pod": {"privileged": True}}, {"pods-not-root": ["values of thing have privileged True"]}),
    ],
)
def test_what_a_chart_is_given_is_checked_too(values, found):
    [(rule, [message])] = spoken(RELEASE, {"values": values}).items()
    [(expected_rule, [start])] = found.items()
    assert rule == expected_rule
    assert message.startswith(start)


@pytest.mark.parametrize(
    ("labels", "reported"),
    [("restricted", False), ("baseline", False), (UNKNOWN, False), ("privileged", True), (None, True)],
)
def test_a_namespace_confines_its_pods(labels, reported):
    labelled = {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": labels}}}
    found = messages("namespaces-confined", resource("kubernetes:core/v1:Namespace", labelled))
    message = f"namespace thing enforces pod security level {labels!r}; it must be one of baseline, restricted"
    assert found == ([message] if reported else [])


@pytest.mark.parametrize(
    ("version", "reported"),
    [("1.2.3", False), ("v1.2.3-rc.1", False), (UNKNOWN, False), (None, True), ("~1.2", True), ("1.x", True)],
)
def test_a_chart_has_one_version(version, reported):
    found = messages("charts-pinned", resource(RELEASE, {"chart": "mlflow", "version": version}))
    assert found == ([f"version of chart mlflow is {version!r}; name one exactly"] if reported else [])
