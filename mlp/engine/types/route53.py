"""Route 53: records in zones that exist."""

from __future__ import annotations

from collections.abc import Mapping

from mlp.engine.cloud import Created, Place, Registration
from mlp.engine.types.aws import forced_by_aws
from mlp.engine.types.facts import AwsType, Duration, Inputs, PriceRule
from mlp.engine.types.request import Request, pascal


def _record_dns_record(_wanted: Registration, inputs: Inputs, _place: Place) -> Created:
    name = inputs["name"].rstrip(".")
    return Created(id=f"{inputs['zoneId']}_{name}_{inputs['type']}", outputs={"fqdn": name})


def _make_record(request: Request) -> Created:
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


TYPES: Mapping[str, AwsType] = {
    "aws:route53/record:Record": AwsType(
        replaced_by=forced_by_aws("route53/record", "name zoneId", regional=False),
        recorder=_record_dns_record,
        emulator=_make_record,
        takes=Duration(45),
        precious=None,
        price=PriceRule.DNS_RECORD,
    ),
}
