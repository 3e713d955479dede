"""Physical names that people or systems type; Pulumi chooses all others."""

from __future__ import annotations

PROJECT = "ml-platform"


def cluster_name(environment: str) -> str:
    """The EKS cluster's name; at most 100 characters (https://docs.aws.amazon.com/eks/latest/APIReference/API_CreateCluster.html)."""
    return f"{PROJECT}-{environment}"


def repository_name(environment: str, image: str) -> str:
    """An ECR repository's name; environments that share an account keep their images apart.

    Raises ValueError for a name that ECR refuses (2 to 256 characters).
    """
    name = f"{PROJECT}/{environment}/{image}"
    if len(name) > 256:
        raise ValueError(f"repository name {name[:40]}... has {len(name)} characters; ECR allows 256")
    return name
