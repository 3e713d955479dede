"""The rule about tags."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from policies.rules.encryption import LAUNCH_TEMPLATE
from policies.rules.model import UNKNOWN, Context, Finding, Plan, PlannedResource, Rule, of_type
from policies.rules.reading import at, mappings, pairs, parsed

REQUIRED_TAGS = ("Environment", "ManagedBy", "Platform", "Project")
_LAUNCHED = ("instance", "volume")
"""Billed resources that a launch template starts; they do not get the provider's default tags."""


def default_tags(provider: Any) -> Any:
    """Return the tags that a provider, given by its properties, adds to all resources, from text or a mapping."""
    found = at(provider, "defaultTags")
    return UNKNOWN if found is UNKNOWN else at(parsed(found), "tags") or {}


def _tagged(plan: Plan, context: Context) -> Iterator[Finding]:
    for resource in (one for one in plan if one.type.startswith("aws:")):
        own = [at(resource.properties, key) for key in ("tags", "tagsAll")]
        if UNKNOWN not in (resource.default_tags, *own):
            yield from _faults(resource, context, resource.name, resource.default_tags, *own)
    for template in of_type(plan, LAUNCH_TEMPLATE):
        specifications = at(template.properties, "tagSpecifications")
        if specifications is UNKNOWN:
            continue
        tags = {str(at(one, "resourceType")): at(one, "tags") for one in mappings(specifications)}
        for kind in _LAUNCHED:
            if tags.get(kind) is not UNKNOWN:
                yield from _faults(template, context, f"each {kind} of {template.name}", tags.get(kind))


def _faults(resource: PlannedResource, context: Context, what: str, *layers: Any) -> Iterator[Finding]:
    tags = {key: value for layer in layers for key, value in pairs(layer)}
    missing = [key for key in REQUIRED_TAGS if not tags.get(key)]
    if missing:
        yield resource, f"{what} has no tag {', '.join(missing)}; make it with the provider that has default tags"
    elif tags["Environment"] not in (context.environment, UNKNOWN):
        yield resource, f"tag Environment of {what} is {tags['Environment']!r} and must be {context.environment!r}"


TAGGED = Rule(
    name="tagged",
    description=f"All that AWS makes, the nodes and disks of launch templates too, carries {', '.join(REQUIRED_TAGS)}: "
    "costs are allocated by them, and access is bound to them.",
    check=_tagged,
)

TAG_RULES = (TAGGED,)
