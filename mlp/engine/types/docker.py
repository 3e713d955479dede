"""Images that BuildKit builds where the program runs."""

from __future__ import annotations

from collections.abc import Mapping

from mlp.engine.cloud import Created, Place, Registration, hex_digits
from mlp.engine.types.facts import Duration, Inputs, TypeFacts, forced_by


def _record_image(wanted: Registration, inputs: Inputs, _place: Place) -> Created:
    digest = f"sha256:{hex_digits(wanted.urn, 64)}"
    return Created(id=digest, outputs={"digest": digest, "ref": f"{inputs['tags'][0]}@{digest}"})


TYPES: Mapping[str, TypeFacts] = {
    "docker-build:index:Image": TypeFacts(
        replaced_by=forced_by("https://github.com/pulumi/pulumi-docker-build/blob/main/provider/internal/image.go", ""),
        recorder=_record_image,
        takes=Duration(240),
        precious=None,
        price="built where it is deployed from; the registry's storage is counted",
    ),
}
