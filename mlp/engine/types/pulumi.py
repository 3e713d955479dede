"""The resources of Pulumi's own state: providers, and references to other stacks."""

from __future__ import annotations

from collections.abc import Mapping

from mlp.engine.cloud import Created, Place, Registration, hex_digits
from mlp.engine.types.facts import Duration, Inputs, TypeFacts, forced_by

_NOTHING = Duration(0)
_FREE = "Pulumi's own bookkeeping"


def _record_provider(wanted: Registration, _inputs: Inputs, _place: Place) -> Created:
    return Created(id=hex_digits(wanted.urn, 32))


TYPES: Mapping[str, TypeFacts] = {
    "pulumi:providers:aws": TypeFacts(
        replaced_by=forced_by("https://www.pulumi.com/docs/iac/concepts/providers/", "region"),
        recorder=_record_provider,
        takes=_NOTHING,
        precious=None,
        price=_FREE,
    ),
    "pulumi:providers:kubernetes": TypeFacts(
        # Another server in the kubeconfig may be another cluster; a new way to log in is not.
        replaced_by=forced_by(
            "https://github.com/pulumi/pulumi-kubernetes/blob/master/provider/pkg/provider/provider.go",
            "cluster clusterIdentifier context kubeconfig.clusters",
        ),
        recorder=_record_provider,
        takes=_NOTHING,
        precious=None,
        price=_FREE,
    ),
    "pulumi:pulumi:StackReference": TypeFacts(
        replaced_by=forced_by("https://www.pulumi.com/docs/iac/concepts/stacks/", "name"),
        recorder="the engine reads it from the outputs of the other stack",
        takes=_NOTHING,
        precious=None,
        price=_FREE,
    ),
}
