"""Route 53: records in zones that exist."""

from __future__ import annotations

from mlp.engine.cloud import Created
from mlp.engine.clouds.moto.request import Handler, Request, pascal


def _record(request: Request) -> Created:
    action = "UPSERT" if request.take("allowOverwrite") else "CREATE"
    record = request.arguments({"zoneId": "zone", "ttl": "TTL", "records": "values", **pascal("name", "type")})
    zone, values = record.pop("zone"), record.pop("values", [])
    record["ResourceRecords"] = [{"Value": value} for value in values]
    request.client("route53").change_resource_record_sets(
        HostedZoneId=zone, ChangeBatch={"Changes": [{"Action": action, "ResourceRecordSet": record}]}
    )
    # AWS gives a record no id; Pulumi's provider makes this one up.
    name = record["Name"].rstrip(".")
    return Created(id=f"{zone}_{name}_{record['Type']}", outputs={"fqdn": name})


HANDLERS: dict[str, Handler] = {"aws:route53/record:Record": _record}
