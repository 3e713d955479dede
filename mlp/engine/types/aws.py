"""What the rows of several AWS services share."""

from __future__ import annotations

from mlp.engine.types.facts import Duration, Forcing, forced_by

_PROVIDER = "https://github.com/hashicorp/terraform-provider-aws/blob/main/internal/service/"
"""URL of the provider that pulumi-aws is built from; `ForceNew` and `RequiresReplace` in its schemas count."""
AT_ONCE = Duration(3)
"""Duration of what one call of AWS's API creates."""
SMALL_IN_LOGS = "https://github.com/turbot/steampipe-plugin-aws/pull/131"
"""URL of a log with the seconds that networks and roles take."""
LAYOUT_IS_FREE = "the layout of a network is free; what passes through gateways, and public addresses, are not"
NOTICES_ARE_FREE = "AWS's first 1,000 emails a month are free"


def forced_by_aws(file: str, paths: str, perhaps: str = "", *, regional: bool = True) -> Forcing:
    """Return what `file`.go of the provider declares as forcing; `region` is added for a regional resource."""
    return forced_by(f"{_PROVIDER}{file}.go", f"{paths} region" if regional else paths, perhaps)
