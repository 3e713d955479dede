"""Random values that Pulumi generates and keeps in its state."""

from __future__ import annotations

import base64
from collections.abc import Mapping

from mlp.engine.cloud import Created, Place, Registration, hex_digits
from mlp.engine.types.facts import Duration, Inputs, TypeFacts, forced_by
from mlp.engine.values import Secret

_PROVIDER = "https://github.com/hashicorp/terraform-provider-random/blob/main/internal/provider/"
_NOTHING = Duration(0)
_FREE = "a value, made by Pulumi"


def _record_password(wanted: Registration, inputs: Inputs, _place: Place) -> Created:
    return Created(id="none", outputs={"result": Secret(hex_digits(wanted.urn, 64)[: inputs["length"]])})


def _record_id(wanted: Registration, inputs: Inputs, _place: Place) -> Created:
    digits = hex_digits(wanted.urn, 2 * inputs["byteLength"])
    encoded = base64.urlsafe_b64encode(bytes.fromhex(digits)).decode().rstrip("=")
    return Created(id=encoded, outputs={"hex": digits, "b64Url": encoded, "dec": str(int(digits, 16))})


TYPES: Mapping[str, TypeFacts] = {
    "random:index/randomId:RandomId": TypeFacts(
        replaced_by=forced_by(f"{_PROVIDER}resource_id.go", "byteLength keepers prefix"),
        recorder=_record_id,
        takes=_NOTHING,
        precious=None,
        price=_FREE,
    ),
    "random:index/randomPassword:RandomPassword": TypeFacts(
        replaced_by=forced_by(
            f"{_PROVIDER}resource_password.go",
            "keepers length lower minLower minNumeric minSpecial minUpper number numeric overrideSpecial special upper",
        ),
        recorder=_record_password,
        takes=_NOTHING,
        precious=None,
        price=_FREE,
    ),
}
