"""Kubernetes: the kinds of objects that programs declare, and Helm releases."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import replace

from mlp.engine.cloud import Created, Place, Registration, hex_digits, physical_name
from mlp.engine.types.facts import Duration, Inputs, KubernetesType, Pods, PriceRule, forced_by

_PROVIDER = "https://github.com/pulumi/pulumi-kubernetes/blob/master/provider/pkg/provider/"
_DIFF = f"{_PROVIDER}diff.go"
_IMMUTABLE = "metadata.name metadata.namespace apiVersion kind"
"""Paths that are immutable for objects of every kind; a custom resource's kind may add others."""
_IN_PLACE = forced_by(_DIFF, _IMMUTABLE)
_AT_ONCE = Duration(2)
_ON_NODES = "runs on nodes that are counted"
_BY_CHART = {
    "airflow": Duration(240),  # its processes take minutes to start
    "kube-prometheus-stack": Duration(90),
    "mlflow": Duration(120),  # it migrates its database first
    "prometheus-operator-crds": Duration(15),
}


def _record_object(wanted: Registration, inputs: Inputs, _place: Place) -> Created:
    """Return the object as the API server does for every kind: as it was given, with a UID."""
    metadata = {"uid": str(uuid.uuid5(uuid.NAMESPACE_URL, wanted.urn)), **inputs.get("metadata", {})}
    metadata.setdefault("name", physical_name(wanted))
    names = [metadata[key] for key in ("namespace", "name") if key in metadata]
    return Created(id="/".join(names), outputs={"metadata": metadata})


def _record_ingress(wanted: Registration, inputs: Inputs, place: Place) -> Created:
    """Return the ingress with the name of its load balancer in the status, which the controller writes."""
    created = _record_object(wanted, inputs, place)
    annotations = inputs.get("metadata", {}).get("annotations", {})
    group = annotations.get("alb.ingress.kubernetes.io/group.name", created.id)
    host = f"k8s-{hex_digits(group, 10)}-{hex_digits(group, 20)[10:]}.{place.region}.elb.amazonaws.com"
    return Created(
        id=created.id, outputs={**created.outputs, "status": {"loadBalancer": {"ingress": [{"hostname": host}]}}}
    )


def _record_release(wanted: Registration, inputs: Inputs, _place: Place) -> Created:
    name = inputs.get("name") or physical_name(wanted)
    namespace = inputs.get("namespace", "default")
    status = {"status": "deployed", "name": name, "namespace": namespace, "version": inputs.get("version")}
    return Created(id=f"{namespace}/{name}", outputs={"name": name, "status": status})


def _release_duration(inputs: Inputs) -> Duration:
    return _BY_CHART.get(str(inputs.get("chart")), Duration(60))


_CHANGED_IN_PLACE = KubernetesType(
    replaced_by=_IN_PLACE,
    recorder=_record_object,
    takes=_AT_ONCE,
    precious=None,
    price=_ON_NODES,
    pods=Pods.NONE,
)
"""An object without pods that is there at once, and of which all but its place can be changed."""
_BINDING = replace(_CHANGED_IN_PLACE, replaced_by=forced_by(_DIFF, f"{_IMMUTABLE} roleRef"))

TYPES: Mapping[str, KubernetesType] = {
    "kubernetes:apps/v1:DeploymentPatch": KubernetesType(
        replaced_by=_IN_PLACE,
        recorder=_record_object,
        takes=Duration(60),
        precious=None,
        price=_ON_NODES,
        pods=Pods.PATCHED,
    ),
    "kubernetes:batch/v1:Job": KubernetesType(
        replaced_by=forced_by(_DIFF, f"{_IMMUTABLE} spec.completions spec.parallelism spec.selector spec.template"),
        recorder=_record_object,
        takes=Duration(60),
        precious=None,
        price=_ON_NODES,
        pods=Pods.MANIFEST,
    ),
    "kubernetes:core/v1:ConfigMap": KubernetesType(
        # Unless the provider is told that its data may be changed, which ours is not.
        replaced_by=forced_by(_DIFF, f"{_IMMUTABLE} binaryData data"),
        recorder=_record_object,
        takes=_AT_ONCE,
        precious=None,
        price=_ON_NODES,
        pods=Pods.NONE,
    ),
    # All of a patch can be changed but what it is of.
    "kubernetes:core/v1:ConfigMapPatch": _CHANGED_IN_PLACE,
    "kubernetes:core/v1:Namespace": KubernetesType(
        replaced_by=_IN_PLACE,
        recorder=_record_object,
        takes=_AT_ONCE,
        precious="a namespace with its volumes",
        price=_ON_NODES,
        pods=Pods.NONE,
    ),
    "kubernetes:core/v1:ResourceQuota": KubernetesType(
        replaced_by=forced_by(_DIFF, f"{_IMMUTABLE} spec.scopes"),
        recorder=_record_object,
        takes=_AT_ONCE,
        precious=None,
        price=_ON_NODES,
        pods=Pods.NONE,
    ),
    "kubernetes:core/v1:ServiceAccount": _CHANGED_IN_PLACE,
    "kubernetes:external-secrets.io/v1:ClusterSecretStore": KubernetesType(
        replaced_by=_IN_PLACE,
        recorder=_record_object,
        takes=Duration(10),
        precious=None,
        price=_ON_NODES,
        pods=Pods.NONE,
    ),
    "kubernetes:external-secrets.io/v1:ExternalSecret": KubernetesType(
        replaced_by=_IN_PLACE,
        recorder=_record_object,
        takes=Duration(10),
        precious=None,
        price=_ON_NODES,
        pods=Pods.NONE,
    ),
    "kubernetes:helm.sh/v3:Release": KubernetesType(
        replaced_by=forced_by(f"{_PROVIDER}helm_release.go", "name namespace"),
        recorder=_record_release,
        takes=_release_duration,
        precious=None,
        price=_ON_NODES,
        pods=Pods.CHART,
    ),
    "kubernetes:monitoring.coreos.com/v1:PodMonitor": _CHANGED_IN_PLACE,
    "kubernetes:monitoring.coreos.com/v1:PrometheusRule": _CHANGED_IN_PLACE,
    "kubernetes:monitoring.coreos.com/v1:ServiceMonitor": _CHANGED_IN_PLACE,
    "kubernetes:networking.k8s.io/v1:Ingress": KubernetesType(
        replaced_by=_IN_PLACE,
        recorder=_record_ingress,
        takes=Duration(180),  # as if it were the first of its load balancer
        precious=None,
        price=PriceRule.INGRESS,
        pods=Pods.NONE,
    ),
    "kubernetes:networking.k8s.io/v1:NetworkPolicy": _CHANGED_IN_PLACE,
    "kubernetes:policy/v1:PodDisruptionBudget": _CHANGED_IN_PLACE,
    "kubernetes:rbac.authorization.k8s.io/v1:ClusterRole": _CHANGED_IN_PLACE,
    "kubernetes:rbac.authorization.k8s.io/v1:ClusterRoleBinding": _BINDING,
    "kubernetes:rbac.authorization.k8s.io/v1:Role": _CHANGED_IN_PLACE,
    "kubernetes:rbac.authorization.k8s.io/v1:RoleBinding": _BINDING,
    "kubernetes:scheduling.k8s.io/v1:PriorityClass": KubernetesType(
        replaced_by=forced_by(
            "https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/priority-class-v1/", _IMMUTABLE
        ),
        recorder=_record_object,
        takes=_AT_ONCE,
        precious=None,
        price=_ON_NODES,
        pods=Pods.NONE,
    ),
    "kubernetes:storage.k8s.io/v1:StorageClass": KubernetesType(
        replaced_by=forced_by(_DIFF, f"{_IMMUTABLE} parameters provisioner"),
        recorder=_record_object,
        takes=_AT_ONCE,
        precious=None,
        price=_ON_NODES,
        pods=Pods.NONE,
    ),
}
