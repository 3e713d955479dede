"""Rules about databases."""

from __future__ import annotations

from collections.abc import Iterator

from policies.rules.model import UNKNOWN, Context, Finding, Level, Plan, Rule, of_type
from policies.rules.reading import at, is_on, number

DATABASES = ("aws:rds/instance:Instance", "aws:rds/cluster:Cluster")
BACKUP_DAYS = 7
OFF_FOR_DISPOSABLE_DATA = {"dev": Level.OFF, "local": Level.OFF}
"""Levels of rules that are off in environments whose data can be recreated."""


def _database_encrypted(plan: Plan, _context: Context) -> Iterator[Finding]:
    for database in of_type(plan, *DATABASES):
        found = at(database.properties, "storageEncrypted")
        if not is_on(found):
            yield database, f"storageEncrypted of {database.name} is {found!r} and must be true"


DATABASE_ENCRYPTED = Rule(
    name="database-encrypted",
    description="The storage of every database is encrypted; RDS leaves it open by default.",
    check=_database_encrypted,
)


def _database_private(plan: Plan, _context: Context) -> Iterator[Finding]:
    for database in of_type(plan, *DATABASES, "aws:rds/clusterInstance:ClusterInstance"):
        found = at(database.properties, "publiclyAccessible")
        if found in (True, "true"):
            yield database, f"publiclyAccessible of {database.name} is {found!r} and must be false"


DATABASE_PRIVATE = Rule(
    name="database-private",
    description="No database has an address on the internet.",
    check=_database_private,
)


def _database_has_a_standby(plan: Plan, _context: Context) -> Iterator[Finding]:
    for database in of_type(plan, "aws:rds/instance:Instance"):
        found = at(database.properties, "multiAz")
        if not is_on(found):
            yield database, f"multiAz of {database.name} is {found!r} and must be true"


DATABASE_HAS_A_STANDBY = Rule(
    name="database-has-a-standby",
    description="A database survives the loss of a zone.",
    check=_database_has_a_standby,
    level_overrides=OFF_FOR_DISPOSABLE_DATA,
)


def _database_backed_up(plan: Plan, _context: Context) -> Iterator[Finding]:
    for database in of_type(plan, *DATABASES):
        found = at(database.properties, "backupRetentionPeriod")
        if found is not UNKNOWN and (number(found) or 0) < BACKUP_DAYS:
            message = f"backupRetentionPeriod of {database.name} is {found!r} and must be at least {BACKUP_DAYS} days"
            yield database, message


DATABASE_BACKED_UP = Rule(
    name="database-backed-up",
    description=f"A database can be set back to any moment of the last {BACKUP_DAYS} days.",
    check=_database_backed_up,
    level_overrides=OFF_FOR_DISPOSABLE_DATA,
)

DATABASE_RULES = (DATABASE_ENCRYPTED, DATABASE_PRIVATE, DATABASE_HAS_A_STANDBY, DATABASE_BACKED_UP)
