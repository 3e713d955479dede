"""The user of each image: a number, which its pods name too."""

import re
from pathlib import Path

from infra.cluster.pod_security import IMAGE_USERS

REPOSITORY = Path(__file__).resolve().parents[2]


def test_pods_run_as_the_user_that_the_image_was_built_for():
    named = {
        path.parent.name: re.findall(r"^USER +(\S+)", path.read_text(), re.MULTILINE)[-1]
        for path in (REPOSITORY / "images").glob("*/Dockerfile")
    }
    assert named == {image: str(user) for image, user in IMAGE_USERS.items()}
    assert 0 not in IMAGE_USERS.values()
