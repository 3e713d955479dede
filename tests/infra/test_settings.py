import pulumi
import pytest

from infra.settings import PlatformSettings

VALID = {"region": "us-east-1", "zones": ["us-east-1a", "us-east-1b", "us-east-1c"]}


def parse(**changes):
    return PlatformSettings.parse("dev", {**VALID, **changes}, key="ml-platform:settings")


def fault(**changes):
    with pytest.raises(pulumi.RunError) as raised:
        parse(**changes)
    return str(raised.value)


def test_what_a_stack_leaves_out_is_as_production_needs_it():
    settings = parse()
    assert settings.environment == "dev"
    assert settings.database.multi_az
    assert settings.database.deletion_protection
    assert settings.network.nat_gateways == "per_zone"
    assert settings.node_pools["gpu"].min_size == 0
    assert settings.node_pools["gpu"].capacity == "spot"


def test_three_faults_are_reported_at_once_each_with_key_and_value():
    message = fault(
        node_pools={"gpu": {"instance_types": ["g6.xlarge"], "min_size": -1, "max_size": 2, "spott": True}},
        database={"backup_retention_days": 99},
    )
    assert message.splitlines() == [
        "Stack dev cannot be deployed until 3 settings are corrected:",
        "  ml-platform:settings.node_pools.gpu.min_size: Input should be greater than or equal to 0 (got -1)",
        "  ml-platform:settings.node_pools.gpu.spott: Extra inputs are not permitted (got True)",
        "  ml-platform:settings.database.backup_retention_days: Input should be less than or equal to 35 (got 99)",
    ]


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"regoin": "x"}, "ml-platform:settings.regoin: Extra inputs are not permitted (got 'x')"),
        ({"zones": ["us-east-1a"]}, "ml-platform:settings.zones: Tuple should have at least 3 items"),
        ({"zones": ["eu-west-1a", "us-east-1b", "us-east-1c"]}, "zones eu-west-1a are not in region us-east-1"),
        ({"zones": ["us-east-1a"] * 3}, "zones us-east-1a, us-east-1a, us-east-1a name one zone twice"),
        ({"network": {"cidr": "10.0.0.0/26"}}, "3 zones need 768; use a /22 or larger (got '10.0.0.0/26')"),
        ({"network": {"cidr": 7}}, "ml-platform:settings.network.cidr: "),
        (
            {"node_pools": {"core": {"instance_types": ["m7i.large"], "min_size": 3, "max_size": 2}}},
            "ml-platform:settings.node_pools.core: min_size 3 is above max_size 2",
        ),
        ({"aws": {"endpoint": "https://s3.amazonaws.com"}}, "ml-platform:settings.aws.endpoint: "),
        ({"region": None}, "ml-platform:settings.region: Input should be a valid string (got None)"),
    ],
    ids=["misspelt", "few zones", "foreign zone", "same zone", "small", "type", "sizes", "endpoint", "no region"],
)
def test_a_fault_names_its_key_and_what_was_found(changes, part):
    assert part in fault(**changes)


@pytest.mark.parametrize(
    ("values", "part"),
    [(None, "ml-platform:settings is missing"), ("dev", "must be a mapping (got 'dev')")],
    ids=["missing", "text"],
)
def test_settings_that_are_no_mapping_are_refused(values, part):
    with pytest.raises(pulumi.RunError, match="Stack dev cannot be deployed") as raised:
        PlatformSettings.parse("dev", values, key="ml-platform:settings")
    assert part in str(raised.value)


def test_settings_do_not_change_after_loading():
    with pytest.raises(ValueError, match="frozen"):
        parse().region = "eu-west-1"
