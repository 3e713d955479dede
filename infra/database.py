"""The PostgreSQL instance that the platform's services share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws
import pulumi_random as random

from infra.settings import DatabaseSettings

POSTGRES_MAJOR = "17"
POSTGRES_PORT = 5432
DATABASE_NAME = "mlflow"
ADMIN_USERNAME = "platform"


@dataclass(frozen=True, kw_only=True)
class DatabaseArgs:
    """Inputs of `Database`. It admits connections from `client_security_group_id` alone."""

    vpc_id: pulumi.Input[str]
    subnet_ids: Sequence[pulumi.Input[str]]
    client_security_group_id: pulumi.Input[str]
    settings: DatabaseSettings


class Database(pulumi.ComponentResource):
    """An encrypted PostgreSQL in private subnets; its login lies in Secrets Manager."""

    host: pulumi.Output[str]
    username: pulumi.Output[str]
    password: pulumi.Output[str]
    secret_arn: pulumi.Output[str]

    def __init__(self, name: str, args: DatabaseArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mlplatform:database:Database", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        settings = args.settings
        subnets = aws.rds.SubnetGroup(f"{name}-subnets", subnet_ids=list(args.subnet_ids), opts=child)
        firewall = aws.ec2.SecurityGroup(
            f"{name}-access", vpc_id=args.vpc_id, description="PostgreSQL from the cluster", opts=child
        )
        aws.vpc.SecurityGroupIngressRule(
            f"{name}-from-cluster",
            security_group_id=firewall.id,
            referenced_security_group_id=args.client_security_group_id,
            ip_protocol="tcp",
            from_port=POSTGRES_PORT,
            to_port=POSTGRES_PORT,
            opts=child,
        )
        # Letters and digits only: the password travels through connection URLs and ini files.
        password = random.RandomPassword(f"{name}-password", length=32, special=False, opts=child)
        suffix = random.RandomId(f"{name}-final-snapshot", byte_length=4, opts=child)
        protected = settings.deletion_protection
        instance = aws.rds.Instance(
            f"{name}-instance",
            engine="postgres",
            engine_version=POSTGRES_MAJOR,
            instance_class=settings.instance_class,
            storage_type="gp3",
            allocated_storage=settings.storage_gib,
            storage_encrypted=True,
            db_name=DATABASE_NAME,
            username=ADMIN_USERNAME,
            password=password.result,
            multi_az=settings.multi_az,
            db_subnet_group_name=subnets.name,
            vpc_security_group_ids=[firewall.id],
            publicly_accessible=False,
            backup_retention_period=settings.backup_retention_days,
            deletion_protection=protected,
            skip_final_snapshot=not protected,
            final_snapshot_identifier=pulumi.Output.format("{0}-final-{1}", name, suffix.hex) if protected else None,
            opts=pulumi.ResourceOptions(parent=self, protect=protected),
        )
        # A deleted secret keeps its name for the recovery window; without protection it is gone at once.
        secret = aws.secretsmanager.Secret(f"{name}-login", recovery_window_in_days=30 if protected else 0, opts=child)
        login = {
            "username": instance.username,
            "password": password.result,
            "host": instance.address,
            "port": instance.port,
            "dbname": instance.db_name,
        }
        aws.secretsmanager.SecretVersion(
            f"{name}-login", secret_id=secret.id, secret_string=pulumi.Output.json_dumps(login), opts=child
        )

        self.host, self.username, self.password = instance.address, instance.username, password.result
        self.secret_arn = secret.arn
        self.register_outputs({"host": self.host, "secret_arn": self.secret_arn})
