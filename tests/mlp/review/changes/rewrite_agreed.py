"""Write the answers in `agreed/` anew after a change of the programs (`python -m` this module).

The new answers are the plan's own, so only what the change explains may differ in git. Where that is in doubt, the
answer is `of_preview` of what `pulumi preview --json --config-file EDITED` prints for the deployed stack.
"""

from __future__ import annotations

import json
from typing import Any

from tests.mlp.review.changes.test_agreed_with_the_engine import AGREED, BASES, comparable

_KIND_DEPTH = 5


def as_text(value: Any, depth: int = 0) -> str:
    """Return JSON with a line for each resource."""
    if isinstance(value, dict) and value:
        lines, (first, last) = [f"{json.dumps(key)}: {as_text(one, depth + 1)}" for key, one in value.items()], "{}"
    elif isinstance(value, list) and len(value) > 1 and depth == _KIND_DEPTH:
        lines, (first, last) = [json.dumps(one) for one in value], "[]"
    else:
        return json.dumps(value)
    pad = " " * (depth + 1)
    return f"{first}\n{pad}" + f",\n{pad}".join(lines) + f"\n{pad[1:]}{last}"


def main() -> None:
    """Write the files of all bases."""
    for base, content in BASES.items():
        for label, edits in content["edits"].items():
            for edit in edits.values():
                edit["answer"] = {kind: found for kind, found in comparable(base, label, edit).items() if found}
        (AGREED / f"{base}.json").write_text(as_text(content) + "\n")


if __name__ == "__main__":
    main()
