"""The example of docs/plans.md: the report on a change to production's settings."""

from __future__ import annotations

import json
import runpy
from collections.abc import Sequence
from dataclasses import replace
from datetime import date

from mlp.engine.clouds.recording import RecordingCloud
from mlp.engine.deployment import run_declaration
from mlp.engine.programs import PLATFORM
from mlp.plan.planned import ProgramPlan
from mlp.review import report
from mlp.review.review import review
from mlp.shared.checkout import REPOSITORY
from mlp.shared.documents import Marks

STACK = "prod"
DAY = date(2026, 11, 21)
"""Day of the review: rules depend on dates."""
DOCUMENT = REPOSITORY / "docs" / "plans.md"
MARKS = Marks(what="example", command="mlp snapshot")
_SETTINGS = f"{PLATFORM.project}:settings"
_CHANGE = {
    "database": {"multi_az": False},
    "cluster": {"public_access_cidrs": ["198.51.100.0/24"]},
    "node_pools": {
        "core": {"instance_types": ["m7i.xlarge"], "min_size": 2, "max_size": 6},
        "gpu": {
            "instance_types": ["g6.12xlarge", "g5.12xlarge"],
            "capacity": "spot",
            "min_size": 0,
            "max_size": 5,
            "disk_gib": 200,
            "gpu": True,
        },
    },
}
"""Changed settings: no standby for the database, other GPU nodes, the cluster's endpoint open to an office."""


def sample(plans: Sequence[ProgramPlan]) -> str:
    """Return the report on the example as Markdown, from the plans of production as it is."""
    config = PLATFORM.config(STACK)
    settings = json.loads(config.values[_SETTINGS]) | _CHANGE
    changed = run_declaration(
        lambda: runpy.run_path(str(PLATFORM.entry), run_name="__main__"),
        RecordingCloud(),
        label=PLATFORM.label,
        project=PLATFORM.project,
        stack_name=STACK,
        config=replace(config, values=config.values | {_SETTINGS: json.dumps(settings)}),
    )
    [platform] = [one for one in plans if one.program == PLATFORM.label]
    judged = review([changed], ("main", [platform]), today=DAY)
    return report.markdown(*judged.headline(), judged.sections())
