"""Rules about databases."""

from __future__ import annotations

from collections.abc import Iterator

from policies.rules.model import Finding, Plan, Rule

_DATABASE = "aws:rds/instance:Instance"


def _database_encrypted(plan: Plan) -> Iterator[Finding]:
    for database in (one for one in plan if one.type == _DATABASE):
        found = database.properties.get("storageEncrypted")
        if found is not True:
            yield database, f"storageEncrypted of {database.name} is {found!r} and must be true"


DATABASE_ENCRYPTED = Rule(
    name="database-encrypted",
    description="The storage of every database is encrypted; RDS leaves it open by default.",
    check=_database_encrypted,
)


def _protected_database_has_a_standby(plan: Plan) -> Iterator[Finding]:
    for database in (one for one in plan if one.type == _DATABASE):
        found = database.properties.get("multiAz")
        if database.properties.get("deletionProtection") is True and found is not True:
            yield database, f"multiAz of {database.name} is {found!r} and must be true where deletion is refused"


PROTECTED_DATABASE_HAS_A_STANDBY = Rule(
    name="protected-database-has-a-standby",
    description="A database that may not be deleted also survives the loss of a zone.",
    check=_protected_database_has_a_standby,
)
