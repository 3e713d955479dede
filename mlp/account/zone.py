"""The public DNS zone that the platform's names lie in."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

from mlp.account.plan import Outcome
from mlp.shared.aws_session import Change
from mlp.shared.errors import PlatformError


@dataclass(frozen=True, kw_only=True)
class Zone:
    """A hosted zone, and the name servers that its domain must be delegated to; one that is not made has none."""

    id: str
    name: str
    name_servers: tuple[str, ...]
    outcome: Outcome


def ensure_zone(route53: Any, name: str, change: Change) -> Zone:
    """Ensure the public zone of `name`; an existing one is kept. Raise PlatformError when there are several."""
    listed = route53.list_hosted_zones_by_name(DNSName=name)["HostedZones"]
    found = [one for one in listed if one["Name"] == f"{name}." and not one["Config"]["PrivateZone"]]
    if len(found) > 1:
        ids = ", ".join(_bare(one["Id"]) for one in found)
        raise PlatformError(
            f"{len(found)} public zones are named {name} ({ids}); delete the ones that the domain is not delegated to, "
            "or leave out --zone and write the id of the right one into the stack files"
        )
    if found:
        zone_id = _bare(found[0]["Id"])
        servers = route53.get_hosted_zone(Id=zone_id)["DelegationSet"]["NameServers"]
    else:
        made = change(
            route53.create_hosted_zone,
            Name=name,
            CallerReference=str(uuid.uuid4()),
            HostedZoneConfig={"Comment": "mlp bootstrap"},
        )
        zone_id, servers = (_bare(made["HostedZone"]["Id"]), made["DelegationSet"]["NameServers"]) if made else ("", [])
    outcome = Outcome(thing=f"zone {name}", id=zone_id, state="kept" if found else "created")
    return Zone(id=zone_id, name=name, name_servers=tuple(servers), outcome=outcome)


def _bare(zone_id: str) -> str:
    return zone_id.removeprefix("/hostedzone/")
