"""The shapes of the EC2 instances that node pools may use."""

from __future__ import annotations

from dataclasses import dataclass

_LARGE_NODE_VCPUS = 30
_MAX_PODS = 110
_MAX_PODS_LARGE_NODE = 250


@dataclass(frozen=True)
class InstanceType:
    """Hardware of an instance type. `gpu` names the GPU's model and is empty where there is none."""

    vcpus: int
    memory_gib: int
    gpus: int = 0
    gpu: str = ""
    gpu_memory_gib: int = 0

    @property
    def shape(self) -> tuple[int, int, int]:
        """Return what the cluster autoscaler takes to be equal for all types of a pool: vCPUs, memory in GiB, GPUs."""
        return (self.vcpus, self.memory_gib, self.gpus)

    def __str__(self) -> str:
        return f"{self.vcpus} vCPU, {self.memory_gib} GiB, {self.gpus} GPU"

    @property
    def max_pods(self) -> int:
        """Return how many pods a node may run when the CNI hands out prefixes.

        Kubernetes' own recommendation; the network interfaces of every type in the table have room for more
        (https://docs.aws.amazon.com/eks/latest/best-practices/prefix-mode-linux.html).
        """
        return _MAX_PODS if self.vcpus < _LARGE_NODE_VCPUS else _MAX_PODS_LARGE_NODE


def _general(family: str, gib_per_vcpu: int) -> dict[str, InstanceType]:
    sizes = {"large": 2, "xlarge": 4, "2xlarge": 8}
    return {f"{family}.{size}": InstanceType(vcpus, vcpus * gib_per_vcpu) for size, vcpus in sizes.items()}


def _accelerated(family: str, gpu: str, gpu_memory_gib: int, gib_per_vcpu: int) -> dict[str, InstanceType]:
    """Return the types of a G family, which differ from each other in vCPUs, memory and number of GPUs alone."""
    sizes = {"xlarge": (4, 1), "2xlarge": (8, 1), "4xlarge": (16, 1), "8xlarge": (32, 1)}
    sizes |= {"12xlarge": (48, 4), "16xlarge": (64, 1)}
    return {
        f"{family}.{size}": InstanceType(vcpus, vcpus * gib_per_vcpu, gpus, gpu, gpu_memory_gib)
        for size, (vcpus, gpus) in sizes.items()
    }


# As `aws ec2 describe-instance-types` gives them, 2026; the test of this table compares it with such an answer.
INSTANCE_TYPES: dict[str, InstanceType] = {
    **_general("t3", 4),
    **_general("t3a", 4),
    **_general("m6a", 4),
    **_general("m6i", 4),
    **_general("m7a", 4),
    **_general("m7i", 4),
    **_general("m7i-flex", 4),
    **_general("m8i", 4),
    **_general("c6i", 2),
    **_general("c7i", 2),
    **_general("r6i", 8),
    **_general("r7i", 8),
    **_accelerated("g4dn", "T4", 16, 4),
    **_accelerated("g5", "A10G", 24, 4),
    **_accelerated("g6", "L4", 24, 4),
    **_accelerated("g6e", "L40S", 48, 8),
    "g5.24xlarge": InstanceType(96, 384, 4, "A10G", 24),
    "g5.48xlarge": InstanceType(192, 768, 8, "A10G", 24),
    "g6.24xlarge": InstanceType(96, 384, 4, "L4", 24),
    "g6.48xlarge": InstanceType(192, 768, 8, "L4", 24),
    "g6e.24xlarge": InstanceType(96, 768, 4, "L40S", 48),
    "g6e.48xlarge": InstanceType(192, 1536, 8, "L40S", 48),
    "p3.2xlarge": InstanceType(8, 61, 1, "V100", 16),
    "p3.8xlarge": InstanceType(32, 244, 4, "V100", 16),
    "p3.16xlarge": InstanceType(64, 488, 8, "V100", 16),
    "p4d.24xlarge": InstanceType(96, 1152, 8, "A100", 40),
    "p4de.24xlarge": InstanceType(96, 1152, 8, "A100", 80),
    "p5.4xlarge": InstanceType(16, 256, 1, "H100", 80),
    "p5.48xlarge": InstanceType(192, 2048, 8, "H100", 80),
    "p5en.48xlarge": InstanceType(192, 2048, 8, "H200", 141),
}


def known_instance_type(name: str) -> str:
    """Return the name itself; raise ValueError for a type that is not in the table."""
    if name not in INSTANCE_TYPES:
        family = name.partition(".")[0]
        sizes = [one for one in INSTANCE_TYPES if one.partition(".")[0] == family]
        choice = sizes or sorted({one.partition(".")[0] for one in INSTANCE_TYPES})
        what = "sizes of that family" if sizes else "families"
        raise ValueError(
            f"instance type {name} is not known; known {what}: {', '.join(choice)} (infra/facts/instance_types.py)"
        )
    return name
