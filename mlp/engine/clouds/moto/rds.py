"""RDS: database instances and the subnets they may stand in."""

from __future__ import annotations

from mlp.engine.cloud import Created, physical_name
from mlp.engine.clouds.moto.request import Handler, Nested, Request, pascal

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


def _subnet_group(request: Request) -> Created:
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


def _parameter_group(request: Request) -> Created:
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


def _instance(request: Request) -> Created:
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


def _event_subscription(request: Request) -> Created:
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


HANDLERS: dict[str, Handler] = {
    "aws:rds/eventSubscription:EventSubscription": _event_subscription,
    "aws:rds/instance:Instance": _instance,
    "aws:rds/parameterGroup:ParameterGroup": _parameter_group,
    "aws:rds/subnetGroup:SubnetGroup": _subnet_group,
}
