"""The rules of the platform: pure functions from what is planned to what is wrong with it.

Pulumi's policy pack and the offline commands run the same ones.
"""

from policies.rules.database import DATABASE_ENCRYPTED, PROTECTED_DATABASE_HAS_A_STANDBY
from policies.rules.gpu import GPU_POOLS_FREE_WHEN_IDLE
from policies.rules.model import PlannedResource, Rule, Violation, violations_of
from policies.rules.storage import NO_PUBLIC_BUCKET

RULES: tuple[Rule, ...] = (
    NO_PUBLIC_BUCKET,
    DATABASE_ENCRYPTED,
    PROTECTED_DATABASE_HAS_A_STANDBY,
    GPU_POOLS_FREE_WHEN_IDLE,
)

__all__ = ["RULES", "PlannedResource", "Rule", "Violation", "violations_of"]
