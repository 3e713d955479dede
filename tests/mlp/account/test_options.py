import pytest

from mlp.shared.errors import PlatformError
from tests.mlp.account.builders import ACCOUNT, options

KEY = f"arn:aws:kms:us-east-1:{ACCOUNT}:key/1a2b"


@pytest.mark.parametrize(
    "more",
    [
        {"repository": "a/b"},
        {"repository": "Team-1/ml.platform_2"},
        {"repository": "team@12/platform@345"},
        {"environments": ("dev", "development")},
        {"region": "us-gov-west-1"},
        {"emails": ("a.b+c@mail.example.co.uk",)},
        {"zone": "ml.example.org"},
        {"zone": "xn--mller-kva.example"},
        {"state_bucket": "my.state-bucket-1"},
        {"secrets_key_arn": KEY},
        {"permissions_boundary": "arn:aws:iam::aws:policy/PowerUserAccess"},
        {"pulumi_cloud": True, "secrets_key_arn": KEY},
        {"deploy_runner": "in-vpc"},
    ],
    ids=str,
)
def test_what_aws_and_github_take_is_taken(more):
    assert options(**more)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"repository": "platform"}, "--repository 'platform': must be OWNER/NAME"),
        ({"repository": "https://github.com/a/b"}, "--repository"),
        ({"repository": "a/*"}, "--repository"),
        ({"repository": "a/.."}, "--repository"),
        ({"repository": "a@1/b"}, "--repository"),
        ({"repository": "a/b@1"}, "--repository"),
        ({"repository": "a/b:environment:prod"}, "--repository"),
        ({"environments": ("Dev",)}, "--environment 'Dev'"),
        ({"environments": ("d*",)}, "--environment 'd*'"),
        ({"environments": ()}, "at least one"),
        ({"environments": ("dev", "dev")}, "--environment 'dev': given twice"),
        ({"environments": ("dev", "dev-eu")}, "--environment 'dev-eu': begins with dev-"),
        ({"region": "us-east"}, "--region"),
        ({"emails": ("you",)}, "--email 'you'"),
        ({"zone": "example"}, "--zone"),
        ({"zone": "ml.example.org."}, "--zone"),
        ({"zone": "-ml.example.org"}, "--zone"),
        ({"state_bucket": "My_Bucket"}, "--state-bucket"),
        ({"state_bucket": "192.168.0.1"}, "--state-bucket"),
        ({"state_bucket": "ml-platform-dev-state"}, "begins with ml-platform-dev-, as buckets of dev do"),
        ({"secrets_key_arn": f"arn:aws:kms:us-east-1:{ACCOUNT}:alias/state"}, "(no alias)"),
        ({"permissions_boundary": "boundary"}, "--permissions-boundary"),
        ({"state_bucket": "team-state", "pulumi_cloud": True}, "--state-bucket 'team-state': with --pulumi-cloud"),
        ({"deploy_runner": "a b"}, "--deploy-runner 'a b'"),
        ({"deployers": ("ada",)}, "--deployer 'ada': must be an ARN"),
        ({"environments": ("a-name-too-long",)}, "must be 2 to 12 of a-z 0-9 -"),
        ({"anomaly_usd": 0}, "--anomaly-usd 0: must be above 0"),
        ({"anomaly_usd": float("nan")}, "--anomaly-usd nan"),
    ],
    ids=str,
)
def test_a_malformed_option_is_named_with_what_it_must_be(more, said):
    with pytest.raises(PlatformError) as refused:
        options(**more)
    assert "nothing was done; 1 option is to be corrected" in str(refused.value)
    assert said in str(refused.value)


def test_all_malformed_options_are_named_at_once():
    with pytest.raises(PlatformError) as refused:
        options(repository="x", environments=("D", "dev"), emails=("you", "me"), zone="z", anomaly_usd=-1)
    assert "6 options are to be corrected" in str(refused.value)
