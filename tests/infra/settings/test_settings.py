"""Settings: production's defaults, and every fault of a stack file at once, by its key."""

from datetime import date
from typing import get_args

import annotated_types
import pulumi
import pytest
from pydantic import BaseModel

from infra.settings.settings import PlatformSettings
from infra.settings.workload_settings import TrainingJobSettings

VALID = {"region": "us-east-1", "zones": ["us-east-1a", "us-east-1b", "us-east-1c"]}
CORE = {"instance_types": ["m7i.large"], "min_size": 2, "max_size": 4}
GPU = {"gpu": True, "instance_types": ["g6.xlarge", "g5.xlarge"], "capacity": "spot", "min_size": 0, "max_size": 5}
ROLE = "arn:aws:iam::123456789012:role/{}"
EDGE = {"domain": "ml.example.com", "zone_id": "Z0123456789", "allowed_cidrs": ["0.0.0.0/0"], "enabled": True}
OIDC = {
    "issuer": "https://login.example.com",
    **dict.fromkeys(("authorization_endpoint", "token_endpoint", "user_info_endpoint"), "https://login.example.com/x"),
    "client_secret_arn": "arn:aws:secretsmanager:us-east-1:123456789012:secret:ml-platform/dev/sign-in-AbCdEf",
}
ENTRANCE = "ml-platform:settings.edge.enabled: an entrance needs "
KEY = "ml-platform:settings"


def parse(**changes):
    return PlatformSettings.parse("dev", {**VALID, **changes}, key=KEY)


def fault(**changes):
    with pytest.raises(pulumi.RunError) as raised:
        parse(**changes)
    return str(raised.value)


def pools(**changed):
    return {"node_pools": {"core": CORE, "gpu": GPU | changed}}


def test_what_a_stack_leaves_out_is_as_production_needs_it():
    settings = parse()
    assert settings.environment == "dev"
    assert settings.protect_data
    assert settings.database.multi_az
    assert settings.network.nat_gateways == "per_zone"
    assert settings.cluster.public_access_cidrs == ()
    gpu = settings.node_pools["gpu"]
    assert (gpu.min_size, gpu.capacity, gpu.throughput_mibps) == (0, "spot", 500)
    assert not settings.edge.enabled


def test_every_fault_is_reported_at_once_with_key_and_value():
    message = fault(
        zones=["us-east-1a", "eu-west-1b", "us-east-1c"],
        network={"cidr": "10.0.0.0/26", "nat_gateways": "none"},
        cluster={"kubernetes_version": "1.31"},
        node_pools={"core": CORE, "gpu": GPU | {"instance_types": ["m7i.large"], "min_size": 9, "spott": True}},
        database={"backup_retention_days": -1},
        storage={"noncurrent_days": -7},
        budget={"emails": ["nobody"]},
    )
    first, *faults = message.splitlines()
    assert first == "Stack dev cannot be deployed until 10 settings are corrected:"
    assert [line.strip().partition(": ")[0].removeprefix(f"{KEY}.") for line in faults] == [
        "zones",
        "network.cidr",
        "network.nat_gateways",
        "cluster.kubernetes_version",
        "node_pools.gpu.instance_types",
        "node_pools.gpu.max_size",
        "node_pools.gpu.spott",
        "database.backup_retention_days",
        "storage.noncurrent_days",
        "budget.emails.0",
    ]
    assert all("(got " in line for line in faults)


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"regoin": "x"}, f"{KEY}.regoin: Extra inputs are not permitted (got 'x')"),
        ({"region": None}, f"{KEY}.region: Input should be a valid string (got None)"),
        ({"zones": ["us-east-1a"]}, f"{KEY}.zones: Tuple should have at least 3 items"),
        ({"zones": ["eu-west-1a", "us-east-1b", "us-east-1c"]}, "zones eu-west-1a are not in region us-east-1"),
        ({"zones": ["us-east-1a"] * 3}, "zones us-east-1a, us-east-1a, us-east-1a name one zone twice"),
        ({"network": {"cidr": "10.0.0.0/26"}}, "3 zones need 1008; use a /22 or larger (got '10.0.0.0/26')"),
        ({"network": {"cidr": 7}}, f"{KEY}.network.cidr: "),
        (
            {"network": {"cidr": "10.0.0.0/20", "peered_cidrs": ["192.168.0.0/16", "10.0.8.0/24"]}},
            f"{KEY}.network.peered_cidrs: network.cidr 10.0.0.0/20 overlaps 10.0.8.0/24; choose another range",
        ),
        (
            {"network": {"nat_gateways": "none", "interface_endpoints": ["ecr.api", "ecr.dkr", "sts"]}},
            "without NAT, nodes join through interface_endpoints, which lack ec2, eks; add them (got 'none')",
        ),
        (
            {"network": {"interface_endpoints": ["s4"]}},
            f"{KEY}.network.interface_endpoints.0: Input should be 'ecr.api'",
        ),
        (
            {"cluster": {"kubernetes_version": "1.33"}},
            "Kubernetes 1.33 left standard support on 2026-07-29; supported at 2026-11-21: 1.34, 1.35 (got '1.33')",
        ),
        ({"cluster": {"kubernetes_version": "1.99"}}, "Kubernetes 1.99 is not in infra/facts/kubernetes_versions.py"),
        (
            {"deploy_role_arn": ROLE.format("ci"), "cluster": {"admin_roles": [ROLE.format("ci")]}},
            f"{KEY}.cluster: {ROLE.format('ci')} deploys and is an administrator by that",
        ),
        (
            {"cluster": {"admin_roles": [ROLE.format("a")], "viewer_roles": [ROLE.format("a")]}},
            f"{KEY}.cluster.viewer_roles: {ROLE.format('a')} is in another list of roles too",
        ),
        ({"cluster": {"admin_roles": ["alice"]}}, f"{KEY}.cluster.admin_roles.0: String should match pattern"),
        (pools(min_size=6), f"{KEY}.node_pools.gpu.max_size: min_size 6 is above max_size 5 (got 5)"),
        (
            pools(instance_types=["g9.xlarge"]),
            f"{KEY}.node_pools.gpu.instance_types.0: instance type g9.xlarge is not known; known families: c6i, c7i",
        ),
        (pools(instance_types=["g6.huge"]), "known sizes of that family: g6.xlarge, g6.2xlarge"),
        (pools(instance_types=["m7i.xlarge"]), "m7i.xlarge have no GPU; choose g or p types, or set gpu: false"),
        (pools(gpu=False), "g6.xlarge, g5.xlarge have GPUs; set gpu: true"),
        (
            pools(instance_types=["g6.xlarge", "g5.2xlarge"]),
            "must have one shape, or the autoscaler misjudges it: g6.xlarge 4 vCPU, 16 GiB, 1 GPU; g5.2xlarge 8 vCPU",
        ),
        (pools(zones=["us-east-1f"]), "gpu.zones us-east-1f are not among zones us-east-1a, us-east-1b, us-east-1c"),
        ({"node_pools": {"gpu": GPU}}, "no pool without GPUs has min_size 1 or more"),
        ({"node_pools": {"Core!": CORE}}, "pool name 'Core!' must be lower-case letters"),
        ({"node_pools": {}}, f"{KEY}.node_pools: Dictionary should have at least 1 item"),
        (
            {"database": {"storage_gib": 100, "max_storage_gib": 105}},
            "at least a tenth more than storage_gib 100; use 110",
        ),
        (
            {"database": {"storage_gib": 100, "max_storage_gib": 109}},
            "at least a tenth more than storage_gib 100; use 110",
        ),
        (
            {"database": {"storage_gib": 105, "max_storage_gib": 115}},
            "at least a tenth more than storage_gib 105; use 116",
        ),
        (
            {"database": {"backup_window": "23:30-00:30", "maintenance_window": "sun:00:00-sun:01:00"}},
            f"{KEY}.database.maintenance_window: it overlaps backup_window 23:30-00:30; RDS refuses that",
        ),
        ({"database": {"backup_window": "3-4"}}, f"{KEY}.database.backup_window: String should match pattern"),
        ({"log_group_retention_days": -1}, f"{KEY}.log_group_retention_days: Input should be 1, 3, 5"),
        ({"edge": {"enabled": True}}, f"{ENTRANCE}domain, allowed_cidrs, zone_id or certificate_arn"),
        ({"edge": EDGE | {"zone_id": None}}, f"{ENTRANCE}zone_id or certificate_arn"),
        ({"edge": EDGE | {"domain": "not a domain"}}, f"{KEY}.edge.domain: String should match pattern"),
        (
            {"services": {"max_training_gpus": 9}},
            f"{KEY}.services: max_training_gpus 9 is above the 5 GPUs that the node pools hold at their max_size (gpu",
        ),
        (
            {**pools(instance_types=["g6.12xlarge"], max_size=2), "services": {"max_training_gpus": 9}},
            "above the 8 GPUs",
        ),
        ({"node_pools": {"core": CORE}, "services": {"max_training_gpus": 1}}, "above the 0 GPUs"),
        ({"services": {"max_training_gpus": -1}}, f"{KEY}.services.max_training_gpus: Input should be greater than"),
        ({"budget": {"emails": ["a@b"]}}, f"{KEY}.budget.emails.0: String should match pattern"),
        ({"budget": {"monthly_usd": 0}}, f"{KEY}.budget.monthly_usd: Input should be greater than or equal to 1"),
        ({"aws": {"endpoint": "https://s3.amazonaws.com"}}, f"{KEY}.aws.endpoint: "),
    ],
)
def test_a_fault_names_its_key_and_what_was_found(changes, part):
    message = fault(**changes)
    assert part in message
    assert message.startswith("Stack dev cannot be deployed until 1 setting is corrected:")


def test_jobs_may_ask_for_what_the_pools_hold_or_for_less():
    assert parse(**pools(max_size=3)).training_gpus == 3
    assert parse(**pools(max_size=3), services={"max_training_gpus": 2}).training_gpus == 2
    assert parse(**pools(max_size=3), services={"max_training_gpus": 0}).training_gpus == 0
    assert parse(node_pools={"core": CORE}).training_gpus == 0


@pytest.mark.parametrize(("first", "largest"), [(100, 110), (100, 111), (105, 116), (20, 22)])
def test_a_database_that_may_grow_by_a_tenth_is_accepted(first, largest):
    database = parse(database={"storage_gib": first, "max_storage_gib": largest}).database
    assert (database.storage_gib, database.max_storage_gib) == (first, largest)


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        (pools(instance_types=["p3.2xlarge"]), "p3.2xlarge have V100 GPUs, which CUDA 13"),
        (pools(instance_types=["g6.xlarge"]), "node_pools.gpu: spot capacity of g6.xlarge alone runs out easily"),
        ({"budget": {"emails": []}}, "budget.emails is empty"),
    ],
    ids=["V100", "one spot type", "nobody told"],
)
def test_what_is_allowed_and_probably_not_meant_is_warned_of(changes, part):
    assert any(part in warning for warning in parse(**changes).warnings(date(2026, 12, 1)))


def test_a_version_whose_support_has_ended_since_is_warned_of():
    settings = parse(budget={"emails": ["a@b.org"]})
    assert settings.warnings(date(2027, 3, 27)) == ()
    [warning] = settings.warnings(date(2027, 3, 28))
    assert warning.startswith("Kubernetes 1.35 left standard support on 2027-03-27")


@pytest.mark.parametrize(
    ("values", "part"),
    [(None, "ml-platform:settings is missing"), ("dev", "must be a mapping (got 'dev')")],
    ids=["missing", "text"],
)
def test_settings_that_are_no_mapping_are_refused(values, part):
    with pytest.raises(pulumi.RunError, match="Stack dev cannot be deployed") as raised:
        PlatformSettings.parse("dev", values, key=KEY)
    assert part in str(raised.value)


def test_settings_do_not_change_after_loading():
    with pytest.raises(ValueError, match="frozen"):
        parse().region = "eu-west-1"


def test_people_may_be_asked_to_sign_in_first():
    oidc = parse(edge=EDGE | {"oidc": OIDC}).edge.oidc
    assert oidc is not None
    assert (oidc.scope, oidc.session_hours) == ("openid", 12)


def test_a_provider_is_named_whole_and_over_tls():
    message = fault(edge=EDGE | {"oidc": {"issuer": "http://login.example.com", "token_endpoint": "login/token"}})
    assert [line.strip().partition(": ")[0].removeprefix(f"{KEY}.edge.oidc.") for line in message.splitlines()[1:]] == [
        "issuer",
        "authorization_endpoint",
        "token_endpoint",
        "user_info_endpoint",
        "client_secret_arn",
    ]


@pytest.mark.parametrize(
    "other", ["us-east-1:123456789012:secret:ml-platform/prod/x", "eu-west-1:123456789012:secret:ml-platform/dev/x"]
)
def test_the_client_lies_where_the_cluster_may_read_it(other):
    message = fault(edge=EDGE | {"oidc": OIDC | {"client_secret_arn": f"arn:aws:secretsmanager:{other}"}})
    assert "it must be a secret in us-east-1 whose name begins with ml-platform/dev/" in message


def models_in(annotation):
    """Every model that a field's type is made of, and those of their fields."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
        for field in annotation.model_fields.values():
            yield from models_in(field.annotation)
    for part in get_args(annotation):
        yield from models_in(part)


WITHOUT_A_MOST = {
    "BudgetSettings.monthly_usd",
    "DatabaseSettings.password_generation",
    "NodePoolSettings.min_size",  # max_size bounds it
    "ServicesSettings.max_training_gpus",  # the pools bound it
    *(f"StorageSettings.{name}_days" for name in ("archive_after", "log_retention", "noncurrent")),
    *(f"TrainingJobSettings.{name}" for name in ("cpus", "gpus", "memory_gib", "usd_per_hour", "workers")),
}


def test_every_number_has_a_least_and_but_for_a_few_a_most():
    least, most, numbers = set(), set(), set()
    for model in {*models_in(PlatformSettings), *models_in(TrainingJobSettings)}:
        for name, field in model.model_fields.items():
            if {int, float} & {field.annotation, *get_args(field.annotation)}:
                key = f"{model.__name__}.{name}"
                numbers.add(key)
                least |= {key for one in field.metadata if isinstance(one, annotated_types.Ge)}
                most |= {key for one in field.metadata if isinstance(one, annotated_types.Le)}
    assert least == numbers
    assert numbers - most == WITHOUT_A_MOST


@pytest.mark.parametrize(
    ("part", "name", "least", "most"),
    [
        ("database", "backup_retention_days", 1, 35),
        ("database", "max_connections", 50, 5000),
        ("database", "password_generation", 1, None),
        ("storage", "noncurrent_days", 1, None),
        ("budget", "monthly_usd", 1, None),
    ],
)
def test_a_number_may_be_its_least_and_its_most_and_nothing_beyond(part, name, least, most):
    for value in filter(None, (least, most)):
        assert getattr(getattr(parse(**{part: {name: value}}), part), name) == value
    for value in (least - 1, *([most + 1] if most else [])):
        assert f"{KEY}.{part}.{name}: Input should be" in fault(**{part: {name: value}})
