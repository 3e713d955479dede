"""The database of an applied stack and the logins to it, asked through boto3."""

from __future__ import annotations

import json
from typing import Any

from tests.mlp.engine.clouds.applied import Applied

OWNERS = {"mlflow", "mlflow_auth", "airflow"}


def database_of(applied: Applied) -> dict[str, Any]:
    [database] = applied.client("rds").describe_db_instances()["DBInstances"]
    return dict(database)


def login(applied: Applied, arn: str) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(applied.client("secretsmanager").get_secret_value(SecretId=arn)["SecretString"])
    return value


def test_the_database_is_the_one_its_environment_asks_for(applied: Applied) -> None:
    database = database_of(applied)

    assert database["DBInstanceIdentifier"] == f"ml-platform-{applied.stack}"
    assert (database["Engine"], database["EngineVersion"].split(".")[0]) == ("postgres", "17")
    assert database["AutoMinorVersionUpgrade"] is True
    sizes = {"dev": ("db.t4g.micro", 20, 100), "prod": ("db.m7g.large", 100, 1000)}
    assert (
        database["DBInstanceClass"],
        database["AllocatedStorage"],
        database["MaxAllocatedStorage"],
    ) == sizes[applied.stack]
    assert database["StorageType"] == "gp3"
    assert database["Endpoint"]["Address"] == applied.outputs["database_host"]


def test_the_database_is_encrypted_and_closed_to_the_internet(applied: Applied) -> None:
    database = database_of(applied)

    assert database["StorageEncrypted"] is True
    assert database["PubliclyAccessible"] is False


def test_production_survives_a_zone_and_a_mistake(applied: Applied) -> None:
    database, inputs = database_of(applied), applied.inputs("aws:rds/instance:Instance")
    production = applied.stack == "prod"

    assert database["MultiAZ"] is production
    assert database["DeletionProtection"] is production
    assert applied.only("aws:rds/instance:Instance").wanted.protect is production
    assert database["BackupRetentionPeriod"] == (14 if production else 1)
    assert database["CopyTagsToSnapshot"] is True
    # What is done on deletion, AWS receives only then.
    assert inputs["skipFinalSnapshot"] is not production
    assert inputs["deleteAutomatedBackups"] is not production
    assert ("finalSnapshotIdentifier" in inputs) is production


def test_backups_and_maintenance_have_windows_of_their_own(applied: Applied) -> None:
    database = database_of(applied)

    assert database["PreferredBackupWindow"] == "03:00-04:00"
    assert database["PreferredMaintenanceWindow"] == "sun:04:30-sun:05:30"


def test_the_database_stands_in_the_isolated_subnets(applied: Applied) -> None:
    group = database_of(applied)["DBSubnetGroup"]

    placed = {subnet["SubnetIdentifier"] for subnet in group["Subnets"]}
    assert placed == {subnet["SubnetId"] for subnet in applied.subnets("isolated")}
    assert group["VpcId"] == applied.vpc


def test_the_database_admits_the_cluster_alone_and_reaches_nothing(applied: Applied) -> None:
    [group_id] = [one["VpcSecurityGroupId"] for one in database_of(applied)["VpcSecurityGroups"]]
    group = applied.security_group(group_id)
    cluster = applied.only("aws:eks/cluster:Cluster").created
    assert cluster is not None

    [permission] = group["IpPermissions"]
    assert (permission["IpProtocol"], permission["FromPort"], permission["ToPort"]) == ("tcp", 5432, 5432)
    assert [pair["GroupId"] for pair in permission["UserIdGroupPairs"]] == [
        cluster.outputs["vpcConfig"]["clusterSecurityGroupId"]
    ]
    assert not permission["IpRanges"]
    assert not permission["Ipv6Ranges"]
    assert group["IpPermissionsEgress"] == []
    assert group["VpcId"] == applied.vpc


def test_the_database_refuses_connections_without_tls(applied: Applied) -> None:
    rds = applied.client("rds")
    [used] = database_of(applied)["DBParameterGroups"]
    [group] = rds.describe_db_parameter_groups(DBParameterGroupName=used["DBParameterGroupName"])["DBParameterGroups"]
    parameters = rds.describe_db_parameters(DBParameterGroupName=used["DBParameterGroupName"])["Parameters"]

    assert group["DBParameterGroupFamily"] == "postgres17"
    values = {one["ParameterName"]: one["ParameterValue"] for one in parameters}
    assert values["rds.force_ssl"] == "1"


def test_the_database_tells_before_connections_run_out_and_when_backups_stop(applied: Applied) -> None:
    cloudwatch = applied.client("cloudwatch")
    alarms = {one["MetricName"]: one for one in cloudwatch.describe_alarms()["MetricAlarms"]}
    [used] = database_of(applied)["DBParameterGroups"]
    name = used["DBParameterGroupName"]
    parameters = applied.client("rds").describe_db_parameters(DBParameterGroupName=name)["Parameters"]
    [limit] = [int(one["ParameterValue"]) for one in parameters if one["ParameterName"] == "max_connections"]

    assert alarms["DatabaseConnections"]["Threshold"] == limit * 0.8
    backup = alarms["MatchedEvents"]
    [rule] = [one["Value"] for one in backup["Dimensions"]]
    assert applied.client("events").describe_rule(Name=rule)["State"] == "ENABLED"
    assert backup["TreatMissingData"] == "breaching"


def test_the_database_is_watched(applied: Applied) -> None:
    database, inputs = database_of(applied), applied.inputs("aws:rds/instance:Instance")
    role = applied.only("aws:iam/role:Role", "database-monitoring-role").created
    assert role is not None

    assert (database["MonitoringInterval"], database["MonitoringRoleArn"]) == (60, role.outputs["arn"])
    # RDS tells of these; the emulator forgets them.
    assert inputs["performanceInsightsEnabled"] is True
    assert inputs["performanceInsightsRetentionPeriod"] == 7
    assert inputs["engineLifecycleSupport"] == "open-source-rds-extended-support-disabled"


def test_exported_logs_go_to_groups_that_end_and_that_were_there_before(applied: Applied) -> None:
    database = applied.only("aws:rds/instance:Instance").wanted
    exported = database_of(applied)["EnabledCloudwatchLogsExports"]
    assert exported == ["postgresql", "upgrade"]
    groups = {
        group["logGroupName"]: group
        for group in applied.client("logs").describe_log_groups(logGroupNamePrefix="/aws/rds/")["logGroups"]
    }

    assert set(groups) == {f"/aws/rds/instance/ml-platform-{applied.stack}/{log}" for log in exported}
    assert {group["retentionInDays"] for group in groups.values()} == {90 if applied.stack == "prod" else 7}
    for log in exported:
        assert (
            applied.only("aws:cloudwatch/logGroup:LogGroup", f"database-{log}-log").wanted.urn in database.dependencies
        )


def test_the_secret_holds_the_login_of_the_database(applied: Applied) -> None:
    database = database_of(applied)

    assert login(applied, applied.outputs["database_secret_arn"]) == {
        "username": database["MasterUsername"],
        "password": applied.inputs("aws:rds/instance:Instance")["password"],
        "host": database["Endpoint"]["Address"],
        "port": database["Endpoint"]["Port"],
        "dbname": database["DBName"],
    }


def test_each_service_has_a_login_and_a_database_of_its_own(applied: Applied) -> None:
    arns = applied.outputs["database_owner_secret_arns"]
    logins = {owner: login(applied, arn) for owner, arn in arns.items()}

    assert set(logins) == OWNERS
    for owner, one in logins.items():
        assert (one["username"], one["dbname"]) == (owner, owner)
        assert (one["host"], one["port"]) == (applied.outputs["database_host"], 5432)
        assert len(one["password"]) == 32
    administrator = login(applied, applied.outputs["database_secret_arn"])
    assert len({one["password"] for one in (*logins.values(), administrator)}) == len(OWNERS) + 1


def test_the_databases_secrets_exist_and_all_have_names_of_the_environment(applied: Applied) -> None:
    secrets = applied.client("secretsmanager").list_secrets()["SecretList"]

    outputs = applied.outputs
    named = {
        outputs["database_secret_arn"],
        *outputs["database_owner_secret_arns"].values(),
    }
    assert named <= {one["ARN"] for one in secrets}
    assert all(one["Name"].startswith(f"ml-platform/{applied.stack}/") for one in secrets)
