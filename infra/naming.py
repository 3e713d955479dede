"""Physical names that people or systems type; Pulumi chooses all others."""

from __future__ import annotations

PROJECT = "ml-platform"
ENVIRONMENT_PATTERN = r"^[a-z][a-z0-9-]{1,11}$"
"""A stack's name: short enough for the names of an environment's buckets."""


def cluster_name(environment: str) -> str:
    """Return the EKS cluster's name; at most 100 characters.

    https://docs.aws.amazon.com/eks/latest/APIReference/API_CreateCluster.html
    """
    return f"{PROJECT}-{environment}"


def cluster_log_group(environment: str) -> str:
    """Return the log group that EKS writes to: it takes the one of this name and makes it if there is none."""
    return f"/aws/eks/{cluster_name(environment)}/cluster"


def database_name(environment: str) -> str:
    """Return the RDS instance's identifier; at most 63 characters."""
    return f"{PROJECT}-{environment}"


def database_log_group(environment: str, log: str) -> str:
    """Return the log group that RDS exports a database's `log` to; it takes the one of this name as EKS does."""
    return f"/aws/rds/instance/{database_name(environment)}/{log}"


def bucket_prefix(environment: str) -> str:
    """Return the prefix of an environment's bucket names; with the bucket's purpose, at most 37 characters."""
    return f"{PROJECT}-{environment}-"


def role_path(environment: str) -> str:
    """Return the path of an environment's IAM roles: the deploy role may make and change those below it alone."""
    return f"/{PROJECT}/{environment}/"


def deploy_role_name(environment: str) -> str:
    """Return the name of the role that deploys an environment. It has no path; the roles that it makes have one."""
    return f"{PROJECT}-deploy-{environment}"


def secret_prefix(environment: str) -> str:
    """Return the prefix of the names of an environment's secrets; External Secrets may read those alone."""
    return f"{PROJECT}/{environment}/"


def repository_name(environment: str, image: str) -> str:
    """Return an ECR repository's name; environments that share an account keep their images apart."""
    return f"{PROJECT}/{environment}/{image}"
