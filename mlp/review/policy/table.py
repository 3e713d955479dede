"""`mlp policies`: every rule and its level in each environment, as docs/policies.md shows it."""

from __future__ import annotations

from mlp.shared.checkout import REPOSITORY
from mlp.shared.documents import Marks
from policies.rules import RULES

DOCUMENT = REPOSITORY / "docs" / "policies.md"
MARKS = Marks(what="rules", command="mlp policies --update")
ENVIRONMENTS = ("prod", "dev", "local")


def policy_table() -> str:
    """Return a Markdown table with a row for each rule."""
    head = ["rule", "what must hold", *ENVIRONMENTS, "in Pulumi's pack"]
    rows = [
        [
            f"`{rule.name}`",
            rule.description,
            *(rule.level_in(environment) for environment in ENVIRONMENTS),
            f"no: {rule.offline_only_reason}" if rule.offline_only_reason else "yes",
        ]
        for rule in RULES
    ]
    cells = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '&#124;') for cell in row)} |" for row in cells)
