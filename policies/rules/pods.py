"""Rules about the pods in the cluster.

Pods are found where a program writes them: in Kubernetes resources, in manifests that it passes on as JSON (the
training job, in a ConfigMap and in an output), and in part in the values of Helm charts, whose templates are not read
here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from policies.rules.model import STACK, UNKNOWN, Context, Finding, Plan, PlannedResource, Rule, of_type
from policies.rules.reading import at, inside, mappings

RELEASE = "kubernetes:helm.sh/v3:Release"
_BY_DIGEST = re.compile(r"@sha256:[0-9a-f]{64}$")
_LATEST = re.compile(r"(:latest|^[^:@]*(:\d+/[^:@]*)?)$")
"""Pattern of an image without a fixed tag: none means `latest`; a colon before a slash belongs to a port."""
_OWN_REGISTRY = ".dkr.ecr."
_LISTS = ("containers", "initContainers")
_EXTRA_LISTS = ("extraContainers", "extraInitContainers", "sidecars")
_EXACT = re.compile(r"v?\d+\.\d+\.\d+([-+][0-9A-Za-z.+-]+)?")
_CONFINED = ("baseline", "restricted")

Pod = Mapping[str, Any]


def _within(plan: Plan) -> Iterator[tuple[PlannedResource, list[Mapping[str, Any]]]]:
    """Yield each resource that may hold pods, with every mapping in it; patches, which hold a part, are left out."""
    for resource in plan:
        if resource.type == STACK or (resource.type.startswith("kubernetes:") and not resource.type.endswith("Patch")):
            yield resource, list(inside(resource.properties))


def _pods(plan: Plan) -> Iterator[tuple[PlannedResource, Pod]]:
    for resource, found in _within(plan):
        yield from ((resource, one) for one in found if _containers(one))


def _containers(pod: Pod, *lists: str) -> list[Mapping[str, Any]]:
    """Return what runs an image: a chart also uses these keys for what applies to all containers."""
    return [one for key in (*_LISTS, *lists) for one in mappings(pod.get(key)) if "image" in one]


def _images_by_digest(plan: Plan, _context: Context) -> Iterator[Finding]:
    for resource, found in _within(plan):
        names = [name for one in found for name in _images(one, chart=resource.type == RELEASE)]
        for image in dict.fromkeys(names):
            yield resource, f"image {image} of {resource.name} can change under its name; name it by @sha256:<digest>"


def _images(one: Mapping[str, Any], *, chart: bool) -> Iterator[str]:
    """Yield the images in `one` whose content may change, since their tag may move."""
    for container in _containers(one, *(_EXTRA_LISTS if chart else ())):
        image = container["image"]
        if isinstance(image, str) and not _BY_DIGEST.search(image):
            yield image
    if chart and "name" not in one:  # with a name it is a container
        image = _image_value(one)
        if image and not _BY_DIGEST.search(image) and (_OWN_REGISTRY in image or _LATEST.search(image)):
            yield image


def _image_value(one: Mapping[str, Any]) -> str | None:
    """Return an image from chart values, whole or in parts; a repository without a tag has the chart's."""
    image, repository, tag, digest = (one.get(key) for key in ("image", "repository", "tag", "digest"))
    if isinstance(image, str):
        return image
    if not isinstance(repository, str) or UNKNOWN in (tag, digest):
        return None
    return f"{repository}:{tag or 'default'}" + (f"@{digest}" if digest else "")


IMAGES_BY_DIGEST = Rule(
    name="images-by-digest",
    description="Pods name images by digest. So do the values of charts for images of our own registry; a chart's own "
    "images are held by its version, and none is `latest`.",
    check=_images_by_digest,
)


def _pods_bounded(plan: Plan, _context: Context) -> Iterator[Finding]:
    for resource, found in _within(plan):
        for one in found:
            for container in _containers(one):
                missing = _missing(container.get("resources"))
                if missing:
                    yield resource, f"container {container.get('name')} of {resource.name} has no {', '.join(missing)}"
            if resource.type == RELEASE and _is_sizing(one.get("resources")):
                missing = _missing(one["resources"])
                if missing:
                    yield resource, f"values of {resource.name} have resources without {', '.join(missing)}"


def _missing(resources: Any) -> list[str]:
    wanted = (("requests", "cpu"), ("requests", "memory"), ("limits", "memory"))
    return [f"{kind}.{unit}" for kind, unit in wanted if at(resources, kind, unit) is None]


def _is_sizing(resources: Any) -> bool:
    """Return whether it sizes a container; empty, the chart sizes it, and with `storage` it sizes a volume."""
    return bool(
        isinstance(resources, Mapping)
        and {"requests", "limits"} & set(resources)
        and at(resources, "requests", "storage") is None
    )


PODS_BOUNDED = Rule(
    name="pods-bounded",
    description="Containers request processor and memory, and are limited in memory. A limit on processor time is not "
    "asked for: it slows down while processors stand idle.",
    check=_pods_bounded,
)


def _pods_not_root(plan: Plan, _context: Context) -> Iterator[Finding]:
    for resource, pod in _pods(plan):
        for container in _containers(pod):
            fault = _privilege(pod.get("securityContext"), container.get("securityContext"))
            if fault:
                yield resource, f"container {container.get('name')} of {resource.name} has {fault}"
    for release in of_type(plan, RELEASE):
        for one in inside(at(release.properties, "values")):
            for key, root in (("runAsNonRoot", False), ("runAsUser", 0), ("privileged", True)):
                if one.get(key) == root and one.get(key) is not None and not isinstance(one.get(key), str):
                    yield release, f"values of {release.name} have {key} {one[key]!r}"


def _privilege(pod: Any, container: Any) -> str | None:
    if UNKNOWN in (pod, container):
        return None
    if at(container, "privileged") is True:
        return "privileged true; it must be false"
    user, flag = _own_or_of_the_pod("runAsUser", container, pod), _own_or_of_the_pod("runAsNonRoot", container, pod)
    if user == 0:
        return "runAsUser 0, which is root; name another"
    if flag is UNKNOWN:
        return None
    if flag is not True:
        return f"runAsNonRoot {flag!r}; it must be true, for it or for its pod"
    if user is None:
        return "runAsNonRoot and no runAsUser; name one, since the kubelet refuses an image whose user is a name"
    return None


def _own_or_of_the_pod(key: str, container: Any, pod: Any) -> Any:
    """Return the container's own entry, else its pod's; an entry that is not known yet is one."""
    return next((found for one in (container, pod) if (found := at(one, key)) is not None), None)


PODS_NOT_ROOT = Rule(
    name="pods-not-root",
    description="Containers do not run as root, nor with the host's privileges; their user has a number, by which the "
    "kubelet can tell.",
    check=_pods_not_root,
)


def _namespaces_confined(plan: Plan, _context: Context) -> Iterator[Finding]:
    for namespace in of_type(plan, "kubernetes:core/v1:Namespace"):
        found = at(namespace.properties, "metadata", "labels", "pod-security.kubernetes.io/enforce")
        if found is not UNKNOWN and found not in _CONFINED:
            message = (
                f"namespace {namespace.name} enforces pod security level {found!r}; it must be one of "
                f"{', '.join(_CONFINED)}"
            )
            yield namespace, message


NAMESPACES_CONFINED = Rule(
    name="namespaces-confined",
    description="Every namespace refuses pods that ask for the host's privileges, those of charts among them.",
    check=_namespaces_confined,
)


def _charts_pinned(plan: Plan, _context: Context) -> Iterator[Finding]:
    for release in of_type(plan, RELEASE):
        found = at(release.properties, "version")
        if found is not UNKNOWN and not _EXACT.fullmatch(str(found)):
            yield release, f"version of chart {at(release.properties, 'chart')} is {found!r}; name one exactly"


CHARTS_PINNED = Rule(
    name="charts-pinned",
    description="A chart is installed in one exact version.",
    check=_charts_pinned,
)

POD_RULES = (IMAGES_BY_DIGEST, PODS_BOUNDED, PODS_NOT_ROOT, NAMESPACES_CONFINED, CHARTS_PINNED)
