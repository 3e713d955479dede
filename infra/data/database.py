"""The PostgreSQL instance that the platform's services share."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws
import pulumi_random as random

from infra.data.secrets import StoredSecret, StoredSecretArgs, generated_password
from infra.environment import Environment
from infra.identity.identity import ServiceRole, ServiceRoleArgs
from infra.naming import database_log_group, database_name
from infra.settings.settings import DatabaseSettings

POSTGRES_MAJOR = "17"
"""Major version: the newest that every service supports; Airflow 3 is tested on 13 to 17
(https://airflow.apache.org/docs/apache-airflow/stable/installation/prerequisites.html)."""
POSTGRES_PORT = 5432
DATABASE_NAME = "mlflow"
ADMIN_USERNAME = "platform"
EXPORTED_LOGS = ("postgresql", "upgrade")
MONITORING_INTERVAL_S = 60
FREE_INSIGHTS_DAYS = 7
_GIB = 2**30
_BACKUP_FINISHED = "RDS-EVENT-0002"
"""RDS event of a finished backup (https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_Events.Messages.html)."""
_HOURS_WITHOUT_BACKUP = 36
"""Hours without a backup after which the alarm goes off: backups are daily and take up to an hour, which leaves half a
day for one that is late."""


@dataclass(frozen=True, kw_only=True)
class DatabaseArgs:
    """Inputs of `Database`. It admits `client_security_group_id` alone; alarms go to `alarm_topic_arn`.

    Each of `owners` gets a login and, under the same name, a database of its own.
    """

    environment: Environment
    vpc_id: pulumi.Input[str]
    subnet_ids: Sequence[pulumi.Input[str]]
    client_security_group_id: pulumi.Input[str]
    owners: Sequence[str]
    settings: DatabaseSettings
    log_retention_days: int
    alarm_topic_arn: pulumi.Input[str]


class Database(pulumi.ComponentResource):
    """An encrypted PostgreSQL without a route out of the VPC, reached over TLS alone.

    Its logins, the administrator's and one for each owner, are generated and lie in Secrets Manager.
    """

    host: pulumi.Output[str]
    username: pulumi.Output[str]
    password: pulumi.Output[str]
    secret_arn: pulumi.Output[str]
    owner_secret_arns: dict[str, pulumi.Output[str]]
    password_generation: int
    """Generation of all passwords; a higher number replaces them."""

    def __init__(self, name: str, args: DatabaseArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mlplatform:database:Database", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        settings = args.settings
        self._args, self._child = args, child
        subnets = aws.rds.SubnetGroup(f"{name}-subnets", subnet_ids=list(args.subnet_ids), opts=child)
        parameters = aws.rds.ParameterGroup(
            f"{name}-parameters",
            family=f"postgres{POSTGRES_MAJOR}",
            parameters=[
                {"name": "rds.force_ssl", "value": "1"},
                {"name": "log_min_duration_statement", "value": "1000"},  # ms
                # RDS' own default follows the memory that is left to the engine, which AWS does not tell: an alarm
                # could not be set by it. AWS takes a new value with the next restart alone.
                {
                    "name": "max_connections",
                    "value": str(settings.max_connections),
                    "apply_method": "pending-reboot",
                },
            ],
            opts=child,
        )
        monitoring = ServiceRole(
            f"{name}-monitoring",
            ServiceRoleArgs(
                environment=args.environment,
                service="monitoring.rds.amazonaws.com",
                managed_policies=("service-role/AmazonRDSEnhancedMonitoringRole",),
            ),
            child,
        )
        log_groups = [
            aws.cloudwatch.LogGroup(
                f"{name}-{log}-log",
                name=database_log_group(args.environment.name, log),
                retention_in_days=args.log_retention_days,
                opts=child,
            )
            for log in EXPORTED_LOGS
        ]
        password = generated_password(f"{name}-password", generation=settings.password_generation, opts=child)
        suffix = random.RandomId(f"{name}-final-snapshot", byte_length=4, opts=child)
        final_snapshot = pulumi.Output.format("{0}-final-{1}", database_name(args.environment.name), suffix.hex)
        instance = aws.rds.Instance(
            f"{name}-instance",
            identifier=database_name(args.environment.name),
            engine="postgres",
            engine_version=POSTGRES_MAJOR,
            engine_lifecycle_support="open-source-rds-extended-support-disabled",
            auto_minor_version_upgrade=True,
            instance_class=settings.instance_class,
            storage_type="gp3",
            allocated_storage=settings.storage_gib,
            max_allocated_storage=settings.max_storage_gib,
            storage_encrypted=True,
            db_name=DATABASE_NAME,
            username=ADMIN_USERNAME,
            password=password,
            multi_az=settings.multi_az,
            db_subnet_group_name=subnets.name,
            parameter_group_name=parameters.name,
            vpc_security_group_ids=[self._firewall(name).id],
            publicly_accessible=False,
            backup_retention_period=settings.backup_retention_days,
            backup_window=settings.backup_window,
            maintenance_window=settings.maintenance_window,
            copy_tags_to_snapshot=True,
            delete_automated_backups=args.environment.deletable,
            monitoring_interval=MONITORING_INTERVAL_S,
            monitoring_role_arn=monitoring.role.arn,
            performance_insights_enabled=True,
            performance_insights_retention_period=FREE_INSIGHTS_DAYS,
            enabled_cloudwatch_logs_exports=list(EXPORTED_LOGS),
            apply_immediately=args.environment.deletable,
            deletion_protection=not args.environment.deletable,
            skip_final_snapshot=args.environment.deletable,
            final_snapshot_identifier=None if args.environment.deletable else final_snapshot,
            opts=pulumi.ResourceOptions(
                parent=self,
                protect=not args.environment.deletable,
                # The identifier is fixed: systems and people look for it.
                delete_before_replace=True,
                # RDS would make the log groups itself, and keep their content for ever.
                depends_on=[*log_groups, *monitoring.attachments],
            ),
        )

        self._alarms(name, instance)
        self.password_generation = settings.password_generation
        self.host, self.username, self.password = instance.address, instance.username, password
        self.secret_arn = self._login(f"{name}-login", ADMIN_USERNAME, password, DATABASE_NAME)
        self.owner_secret_arns = {}
        for owner in args.owners:
            login = f"{name}-{owner.replace('_', '-')}"
            own = generated_password(f"{login}-password", generation=settings.password_generation, opts=child)
            self.owner_secret_arns[owner] = self._login(login, owner, own, owner)
        self.register_outputs({"host": self.host, "secret_arn": self.secret_arn})

    def _alarms(self, name: str, instance: aws.rds.Instance) -> None:
        """Create the alarms on what only AWS sees of the instance and nothing in the cluster measures."""
        settings, of_instance = self._args.settings, {"DBInstanceIdentifier": instance.identifier}
        for role, metric, statistic, comparison, threshold in (
            # Storage grows by itself at a tenth; this tells of growth that has ended, or is too slow.
            ("storage", "FreeStorageSpace", "Minimum", "LessThanThreshold", settings.storage_gib * _GIB // 20),
            ("cpu", "CPUUtilization", "Average", "GreaterThanThreshold", 90),
            (
                "connections",
                "DatabaseConnections",
                "Maximum",
                "GreaterThanOrEqualToThreshold",
                settings.max_connections * 8 // 10,
            ),
        ):
            aws.cloudwatch.MetricAlarm(
                f"{name}-{role}",
                alarm_description=f"{metric} of the platform's database; see docs/alerts.md",
                namespace="AWS/RDS",
                metric_name=metric,
                dimensions=of_instance,
                statistic=statistic,
                period=300,
                evaluation_periods=3,
                threshold=threshold,
                comparison_operator=comparison,
                alarm_actions=[self._args.alarm_topic_arn],
                ok_actions=[self._args.alarm_topic_arn],
                opts=self._child,
            )
        aws.rds.EventSubscription(
            f"{name}-events",
            sns_topic=self._args.alarm_topic_arn,
            source_type="db-instance",
            source_ids=[instance.identifier],
            event_categories=["availability", "failover", "failure", "low storage", "recovery"],
            opts=self._child,
        )
        self._backup_alarm(name, instance)

    def _backup_alarm(self, name: str, instance: aws.rds.Instance) -> None:
        """Create the alarm that goes off when no backup was finished.

        No metric has the age of the newest backup, and no event tells of one that was not taken.

        But RDS tells EventBridge of each that is finished, and EventBridge counts what a rule matches, so that the
        alarm goes off when none was.
        """
        finished = aws.cloudwatch.EventRule(
            f"{name}-backup-finished",
            description="Backups of the platform's database; counted by an alarm, sent nowhere",
            event_pattern=json.dumps(
                {
                    "source": ["aws.rds"],
                    "detail-type": ["RDS DB Instance Event"],
                    # By its name, not the instance itself: the rule is there before the first backup.
                    "detail": {
                        "SourceIdentifier": [database_name(self._args.environment.name)],
                        "EventID": [_BACKUP_FINISHED],
                    },
                }
            ),
            opts=self._child,
        )
        aws.cloudwatch.MetricAlarm(
            f"{name}-backup",
            alarm_description=f"No backup of the platform's database for {_HOURS_WITHOUT_BACKUP} hours; "
            "see docs/alerts.md",
            namespace="AWS/Events",
            metric_name="MatchedEvents",
            dimensions={"RuleName": finished.name},
            statistic="Sum",
            period=3600,
            evaluation_periods=_HOURS_WITHOUT_BACKUP,
            threshold=1,
            comparison_operator="LessThanThreshold",
            # An hour without a backup has no number at all.
            treat_missing_data="breaching",
            alarm_actions=[self._args.alarm_topic_arn],
            ok_actions=[self._args.alarm_topic_arn],
            # Its first backup is part of making the instance; before that the alarm would go off.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[instance]),
        )

    def _firewall(self, name: str) -> aws.ec2.SecurityGroup:
        firewall = aws.ec2.SecurityGroup(
            f"{name}-access", vpc_id=self._args.vpc_id, description="PostgreSQL from the cluster", opts=self._child
        )
        aws.vpc.SecurityGroupIngressRule(
            f"{name}-from-cluster",
            security_group_id=firewall.id,
            referenced_security_group_id=self._args.client_security_group_id,
            ip_protocol="tcp",
            from_port=POSTGRES_PORT,
            to_port=POSTGRES_PORT,
            opts=self._child,
        )
        return firewall

    def _login(self, name: str, username: str, password: pulumi.Input[str], database: str) -> pulumi.Output[str]:
        value = {
            "username": username,
            "password": password,
            "host": self.host,
            "port": POSTGRES_PORT,
            "dbname": database,
        }
        secret = StoredSecret(
            name,
            StoredSecretArgs(environment=self._args.environment, value=value),
            self._child,
        )
        return secret.arn
