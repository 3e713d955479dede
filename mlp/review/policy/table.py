"""`mlp policies`: every rule and how it is asked in each environment, as docs/policies.md shows it."""

from __future__ import annotations

from pathlib import Path

from mlp.shared.errors import PlatformError
from mlp.shared.files import write_whole
from policies.rules import RULES

BEGIN = "<!-- rules: written by `mlp policies --update` -->"
END = "<!-- end of rules -->"
ENVIRONMENTS = ("prod", "dev", "local")


def policy_table() -> str:
    """A Markdown table with a row for each rule."""
    head = ["rule", "what must hold", *ENVIRONMENTS, "in Pulumi's pack"]
    rows = [
        [
            f"`{rule.name}`",
            rule.description,
            *(rule.level_in(environment) for environment in ENVIRONMENTS),
            f"no: {rule.offline_alone}" if rule.offline_alone else "yes",
        ]
        for rule in RULES
    ]
    cells = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '&#124;') for cell in row)} |" for row in cells)


def update(path: Path) -> bool:
    """Write the present table between its marks in the document at `path`; whether it had another one.

    Raises PlatformError where the marks are missing.
    """
    old = path.read_text()
    before, begin, rest = old.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise PlatformError(f"{path.name} has no lines `{BEGIN}` and `{END}` to write the table between; add them")
    new = f"{before}{BEGIN}\n\n{policy_table()}\n\n{END}{after}"
    if new != old:
        write_whole(path, new)
    return new != old
