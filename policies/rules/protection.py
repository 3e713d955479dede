"""Rules about protection from deletion."""

from __future__ import annotations

from collections.abc import Iterator

from policies.rules.database import DATABASES, OFF_FOR_DISPOSABLE_DATA
from policies.rules.encryption import CLUSTER
from policies.rules.model import Context, Finding, Plan, Rule, of_type
from policies.rules.reading import at, is_on
from policies.rules.storage import BUCKET

_DATA = (*DATABASES, BUCKET, "aws:kms/key:Key", "aws:efs/fileSystem:FileSystem", "aws:ebs/volume:Volume")
_REFUSES = dict.fromkeys((*DATABASES, CLUSTER), "deletionProtection")
_EMPTIES = {
    **dict.fromkeys(DATABASES, "skipFinalSnapshot"),
    BUCKET: "forceDestroy",
    "aws:ecr/repository:Repository": "forceDelete",
}


def _data_protected(plan: Plan, _context: Context) -> Iterator[Finding]:
    for resource in of_type(plan, *_DATA):
        if not resource.protect:
            yield resource, f"protect of {resource.name} is False and must be true: it holds data, or the key to data"


DATA_PROTECTED = Rule(
    name="data-protected",
    description="Pulumi refuses to delete what holds data: databases, buckets, keys, volumes.",
    check=_data_protected,
    level_overrides=OFF_FOR_DISPOSABLE_DATA,
)


def _deletion_refused(plan: Plan, _context: Context) -> Iterator[Finding]:
    for resource in of_type(plan, *_REFUSES):
        switch = _REFUSES[resource.type]
        found = at(resource.properties, switch)
        if not is_on(found):
            yield resource, f"{switch} of {resource.name} is {found!r} and must be true"
    for resource in of_type(plan, *_EMPTIES):
        switch = _EMPTIES[resource.type]
        found = at(resource.properties, switch)
        if found in (True, "true"):
            yield resource, f"{switch} of {resource.name} is {found!r} and must be false"


DELETION_REFUSED = Rule(
    name="deletion-refused",
    description="AWS too refuses to delete databases and the cluster, a database leaves a last snapshot, and no bucket "
    "or repository is emptied to be deleted.",
    check=_deletion_refused,
    level_overrides=OFF_FOR_DISPOSABLE_DATA,
)

PROTECTION_RULES = (DATA_PROTECTED, DELETION_REFUSED)
