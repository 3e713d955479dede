"""Placement of pods on nodes, first fit decreasing: a packing that exists, though perhaps not the best one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from mlp.review.capacity.nodes import NodePool
from mlp.review.capacity.pods import Amounts, Labels, Pod, PodSelector, Runs, Workload, total
from mlp.review.capacity.quantities import PODS

_HOST, _ZONE = "kubernetes.io/hostname", "topology.kubernetes.io/zone"


@dataclass(kw_only=True)
class Node:
    """A node of a pool, and the pods on it."""

    pool: NodePool
    labels: Labels
    pods: list[Pod] = field(default_factory=list)

    @property
    def free(self) -> Counter[str]:
        """Return what is left; below zero where daemon sets alone request more than is allocatable."""
        left = Counter(self.pool.allocatable)
        left.subtract(requested(self.pods))
        return left


def requested(pods: Sequence[Pod]) -> Counter[str]:
    """Return the sum of the requests of `pods`, and their number."""
    asked = total(pod.requests for pod in pods)
    asked[PODS] = len(pods)
    return asked


def fits(pod: Pod, free: Amounts) -> bool:
    """Return whether there is room for one more pod."""
    return free.get(PODS, 0) >= 1 and all(free.get(one, 0) >= count for one, count in pod.requests.items() if count)


def admits(pool: NodePool, pod: Pod) -> str | None:
    """Return why the nodes of a pool do not admit a pod; None where they do."""
    return _unmatched_labels(pool.labels, pod) or _untolerated_taint(pool.taints, pod)


def _unmatched_labels(labels: Labels, pod: Pod) -> str | None:
    for key, value in pod.node_selector.items():
        if labels.get(key) != value:
            return f"no label {key}={value}"
    if pod.node_terms and not any(all(one.holds(labels) for one in term) for term in pod.node_terms):
        return "labels without what its node affinity requires"
    return None


def _untolerated_taint(taints: Iterable[Mapping[str, str]], pod: Pod) -> str | None:
    for taint in taints:
        if taint["effect"] != "PreferNoSchedule" and not any(_tolerates(one, taint) for one in pod.tolerations):
            return f"taint {taint['key']}={taint.get('value', '')}:{taint['effect']} that it does not tolerate"
    return None


def _tolerates(toleration: Mapping[str, str], taint: Mapping[str, str]) -> bool:
    """Return whether a toleration matches a taint.

    https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/
    """
    if toleration.get("effect") and toleration["effect"] != taint["effect"]:
        return False
    if toleration.get("operator", "Equal") == "Exists":
        return not toleration.get("key") or toleration["key"] == taint["key"]
    return toleration.get("key") == taint["key"] and toleration.get("value", "") == taint.get("value", "")


class Cluster:
    """Nodes with their daemon sets' pods, on which further pods are placed."""

    def __init__(self, pools: Sequence[NodePool], workloads: Iterable[Workload], sizes: Mapping[str, int]) -> None:
        self.pools = pools
        self._daemons = [one.pod for one in workloads if one.runs is Runs.ON_EVERY_NODE]
        self.nodes = [self._node(pool, index) for pool in pools for index in range(sizes[pool.name])]

    def size(self, pool: NodePool) -> int:
        """Return the present number of nodes of a pool."""
        return sum(node.pool is pool for node in self.nodes)

    def place(self, workloads: Iterable[Workload], *, grow: bool = False) -> list[Workload]:
        """Place all pods of `workloads`, the largest first; with `grow`, pools may grow to their maximum size.

        Return the workload of each unschedulable pod.
        """
        pods = [one for one in workloads for _ in range(one.replicas)]
        pods.sort(key=self._weight, reverse=True)
        return [one for one in pods if not self._place(one.pod, grow=grow)]

    def _weight(self, workload: Workload) -> tuple[bool, float]:
        """Return the order of placement: pods with rules first, then by the largest share of the largest node."""
        pod = workload.pod
        largest = {key: max(pool.allocatable.get(key, 0) for pool in self.pools) for key in pod.requests}
        shares = [count / largest[key] for key, count in pod.requests.items() if largest[key]]
        return (bool(pod.anti_affinity or pod.topology_spread), max(shares, default=0.0))

    def _place(self, pod: Pod, *, grow: bool) -> bool:
        for node in self.nodes:
            if admits(node.pool, pod) is None and fits(pod, node.free) and self._meets_rules(pod, node):
                node.pods.append(pod)
                return True
        if grow:
            for pool in self.pools:
                node = self._node(pool, self.size(pool))
                if self.size(pool) < pool.max_size and admits(pool, pod) is None and fits(pod, node.free):
                    self.nodes.append(node)
                    if self._meets_rules(pod, node):
                        node.pods.append(pod)
                        return True
                    self.nodes.pop()
        return False

    def _node(self, pool: NodePool, index: int) -> Node:
        """Return the next node of a pool; an auto-scaling group fills its zones in turn."""
        topology = {_HOST: f"{pool.name}-{index}", _ZONE: f"zone-{index % pool.zones}"}
        return Node(
            pool=pool,
            labels={**pool.labels, **topology},
            pods=[pod for pod in self._daemons if admits(pool, pod) is None],
        )

    def _meets_rules(self, pod: Pod, node: Node) -> bool:
        """Return whether a node meets the pod's anti-affinity and spread, and the anti-affinity of other pods."""
        for rule in pod.anti_affinity:
            if self._count(rule, pod, node.labels.get(rule.topology)):
                return False
        for other in self.nodes:
            for placed in other.pods:
                for rule in placed.anti_affinity:
                    same = other.labels.get(rule.topology) == node.labels.get(rule.topology)
                    if same and rule.matches(pod, placed.namespace):
                        return False
        return all(self._meets_spread(rule, pod, node) for rule in pod.topology_spread)

    def _meets_spread(self, rule: PodSelector, pod: Pod, node: Node) -> bool:
        places = {one.labels.get(rule.topology) for one in self.nodes if admits(one.pool, pod) is None}
        counts = {place: self._count(rule, pod, place) for place in places}
        own = counts[node.labels.get(rule.topology)] + rule.matches(pod, pod.namespace)
        return own - min(counts.values()) <= (rule.max_skew or 1)

    def _count(self, rule: PodSelector, pod: Pod, place: str | None) -> int:
        return sum(
            rule.matches(placed, pod.namespace)
            for node in self.nodes
            if node.labels.get(rule.topology) == place
            for placed in node.pods
        )
