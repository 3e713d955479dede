"""RDS: database instances and their subnet groups."""

from __future__ import annotations

from collections.abc import Mapping

from mlp.engine.cloud import Created, Place, Registration, hex_digits, physical_name
from mlp.engine.types.aws import AT_ONCE, LAYOUT_IS_FREE, NOTICES_ARE_FREE, forced_by_aws
from mlp.engine.types.facts import AwsType, Duration, Inputs, PriceRule
from mlp.engine.types.recorders import named_arn
from mlp.engine.types.request import Nested, Request, pascal

_RDS = "PostgreSQL: 5m57s and 6m08s in one zone, 15m11s and 15m22s in two, in Terraform logs"
# The emulator accepts these and forgets them: `engineLifecycleSupport`, `performanceInsightsEnabled`,
# `performanceInsightsRetentionPeriod`.
_INSTANCE = {
    **pascal(
        "allocatedStorage",
        "autoMinorVersionUpgrade",
        "backupRetentionPeriod",
        "copyTagsToSnapshot",
        "deletionProtection",
        "engine",
        "engineLifecycleSupport",
        "engineVersion",
        "iops",
        "kmsKeyId",
        "maxAllocatedStorage",
        "monitoringInterval",
        "monitoringRoleArn",
        "performanceInsightsRetentionPeriod",
        "port",
        "publiclyAccessible",
        "storageEncrypted",
        "storageType",
        "vpcSecurityGroupIds",
    ),
    "dbName": "DBName",
    "dbSubnetGroupName": "DBSubnetGroupName",
    "iamDatabaseAuthenticationEnabled": "EnableIAMDatabaseAuthentication",
    "backupWindow": "PreferredBackupWindow",
    "enabledCloudwatchLogsExports": "EnableCloudwatchLogsExports",
    "instanceClass": "DBInstanceClass",
    "maintenanceWindow": "PreferredMaintenanceWindow",
    "multiAz": "MultiAZ",
    "parameterGroupName": "DBParameterGroupName",
    "password": "MasterUserPassword",
    "performanceInsightsEnabled": "EnablePerformanceInsights",
    "username": "MasterUsername",
}


def _record_subnet_group(wanted: Registration, inputs: Inputs, place: Place) -> Created:
    name = inputs.get("name") or physical_name(wanted)
    return Created(id=name, outputs={"name": name, "arn": place.arn("rds", f"subgrp:{name}")})


def _record_database(wanted: Registration, inputs: Inputs, place: Place) -> Created:
    identifier = inputs.get("identifier") or physical_name(wanted)
    address = f"{identifier}.{hex_digits(wanted.urn, 12)}.{place.region}.rds.amazonaws.com"
    port = inputs.get("port", 5432)
    return Created(
        id=f"db-{hex_digits(wanted.urn, 26).upper()}",
        outputs={
            "identifier": identifier,
            "address": address,
            "endpoint": f"{address}:{port}",
            "port": port,
            "arn": place.arn("rds", f"db:{identifier}"),
        },
    )


def _make_subnet_group(request: Request) -> Created:
    name = request.take("name") or physical_name(request.wanted)
    group = request.client("rds").create_db_subnet_group(
        DBSubnetGroupName=name,
        Tags=request.tag_list(),
        **request.arguments({"description": "DBSubnetGroupDescription", "subnetIds": "SubnetIds"}),
    )["DBSubnetGroup"]
    return Created(
        id=group["DBSubnetGroupName"],
        outputs={"name": group["DBSubnetGroupName"], "arn": group["DBSubnetGroupArn"]},
    )


def _make_parameter_group(request: Request) -> Created:
    name = request.take("name") or physical_name(request.wanted)
    tags = request.tag_list()
    arguments = request.arguments(
        {
            "description": "Description",
            "family": "DBParameterGroupFamily",
            "parameters": Nested(
                "Parameters", {"name": "ParameterName", "value": "ParameterValue", "applyMethod": "ApplyMethod"}
            ),
        }
    )
    parameters = [{"ApplyMethod": "immediate", **one} for one in arguments.pop("Parameters", [])]
    rds = request.client("rds")
    group = rds.create_db_parameter_group(DBParameterGroupName=name, Tags=tags, **arguments)["DBParameterGroup"]
    if parameters:
        rds.modify_db_parameter_group(DBParameterGroupName=name, Parameters=parameters)
    return Created(
        id=group["DBParameterGroupName"],
        outputs={"name": group["DBParameterGroupName"], "arn": group["DBParameterGroupArn"]},
    )


def _make_instance(request: Request) -> Created:
    request.not_held_by_aws(
        "applyImmediately", "deleteAutomatedBackups", "finalSnapshotIdentifier", "skipFinalSnapshot"
    )
    identifier = request.take("identifier") or physical_name(request.wanted)
    instance = request.client("rds").create_db_instance(
        DBInstanceIdentifier=identifier, Tags=request.tag_list(), **request.arguments(_INSTANCE)
    )["DBInstance"]
    address, port = instance["Endpoint"]["Address"], instance["Endpoint"]["Port"]
    return Created(
        id=instance["DbiResourceId"],
        outputs={
            "identifier": instance["DBInstanceIdentifier"],
            "address": address,
            "endpoint": f"{address}:{port}",
            "port": port,
            "arn": instance["DBInstanceArn"],
        },
    )


def _make_event_subscription(request: Request) -> Created:
    name = request.take("name") or physical_name(request.wanted)
    fields = {
        "snsTopic": "SnsTopicArn",
        "sourceType": "SourceType",
        "sourceIds": "SourceIds",
        "eventCategories": "EventCategories",
    }
    made = request.client("rds").create_event_subscription(
        SubscriptionName=name, Tags=request.tag_list(), **request.arguments(fields)
    )["EventSubscription"]
    return Created(id=name, outputs={"name": name, "arn": made["EventSubscriptionArn"]})


def _duration(inputs: Inputs) -> Duration:
    return Duration(925, _RDS) if inputs.get("multiAz") else Duration(370, _RDS)


TYPES: Mapping[str, AwsType] = {
    "aws:rds/eventSubscription:EventSubscription": AwsType(
        replaced_by=forced_by_aws("rds/event_subscription", "name namePrefix"),
        recorder=named_arn("rds", "es"),
        emulator=_make_event_subscription,
        takes=AT_ONCE,
        precious=None,
        price=NOTICES_ARE_FREE,
    ),
    "aws:rds/instance:Instance": AwsType(
        replaced_by=forced_by_aws(
            "rds/instance",
            "availabilityZone backupTarget characterSetName customIamInstanceProfile dbName engine identifierPrefix "
            "kmsKeyId ncharCharacterSetName restoreToPointInTime s3Import snapshotIdentifier storageEncrypted timezone "
            "username",
        ),
        recorder=_record_database,
        emulator=_make_instance,
        takes=_duration,
        precious="a database",
        price=PriceRule.DATABASE,
    ),
    "aws:rds/parameterGroup:ParameterGroup": AwsType(
        replaced_by=forced_by_aws("rds/parameter_group", "description family name namePrefix"),
        recorder=named_arn("rds", "pg"),
        emulator=_make_parameter_group,
        takes=AT_ONCE,
        precious=None,
        price="parameters are free",
    ),
    "aws:rds/subnetGroup:SubnetGroup": AwsType(
        replaced_by=forced_by_aws("rds/subnet_group", "name namePrefix"),
        recorder=_record_subnet_group,
        emulator=_make_subnet_group,
        takes=AT_ONCE,
        precious=None,
        price=LAYOUT_IS_FREE,
    ),
}
