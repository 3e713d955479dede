"""The rules of the platform: pure functions from what is planned to what is wrong with it.

Pulumi's policy pack and the offline commands run the same ones.
"""

from policies.rules.cluster import CLUSTER_RULES
from policies.rules.cost import COST_RULES
from policies.rules.database import DATABASE_RULES
from policies.rules.encryption import ENCRYPTION_RULES
from policies.rules.iam import IAM_RULES
from policies.rules.model import Context, Level, PlannedResource, Rule, Violation
from policies.rules.network import NETWORK_RULES
from policies.rules.nodes import NODE_RULES
from policies.rules.pods import POD_RULES
from policies.rules.protection import PROTECTION_RULES
from policies.rules.secrets import SECRET_RULES
from policies.rules.storage import STORAGE_RULES
from policies.rules.tags import TAG_RULES

RULES: tuple[Rule, ...] = (
    *STORAGE_RULES,
    *DATABASE_RULES,
    *ENCRYPTION_RULES,
    *SECRET_RULES,
    *NETWORK_RULES,
    *IAM_RULES,
    *CLUSTER_RULES,
    *NODE_RULES,
    *POD_RULES,
    *PROTECTION_RULES,
    *TAG_RULES,
    *COST_RULES,
)

__all__ = ["RULES", "Context", "Level", "PlannedResource", "Rule", "Violation"]
