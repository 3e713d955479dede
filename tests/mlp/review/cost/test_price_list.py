import json
from datetime import UTC, date, datetime
from functools import cache

import botocore.session
import pytest
from botocore.exceptions import ClientError, NoCredentialsError
from botocore.validate import ParamValidator

from infra.facts.instance_types import INSTANCE_TYPES
from mlp.review.cost import price_list
from mlp.review.cost.prices import ITEMS, parse
from mlp.review.cost.prices import as_text as text_of
from mlp.shared.errors import PlatformError
from tests.mlp.review.cost.builders import table

TODAY = date(2026, 11, 21)


def product(usage, *steps, **attributes):
    """A product as the list has it: `steps` are the first unit of a step and its price."""
    dimensions = {
        str(number): {"beginRange": str(begin), "unit": "Hrs", "pricePerUnit": {"USD": f"{usd:.10f}"}}
        for number, (begin, usd) in enumerate(steps)
    }
    return {
        "product": {"productFamily": attributes.pop("family", ""), "attributes": {"usagetype": usage, **attributes}},
        "terms": {"OnDemand": {"one": {"priceDimensions": dimensions}}},
    }


@cache
def shape_of(service, operation):
    """What the operation takes; a service's description is large and read once."""
    return botocore.session.get_session().get_service_model(service).operation_model(operation).input_shape


class FakeAws:
    """AWS's two answers: a client that checks its arguments as boto3 does, and gives one thing a page."""

    def __init__(self, products=(), spot=(), refused=None):
        self.products, self.spot, self.refused, self.asked = dict(products), list(spot), refused, []

    def get_products(self, **given):
        self._check("pricing", "GetProducts", given)
        wanted = {one["Field"]: one["Value"] for one in given["Filters"]}
        found = [
            one
            for one in self.products.get(given["ServiceCode"], ())
            if all(
                (
                    one["product"]["productFamily"]
                    if field == "productFamily"
                    else one["product"]["attributes"].get(field)
                )
                == value
                for field, value in wanted.items()
            )
        ]
        return self._page("PriceList", [json.dumps(one) for one in found], given)

    def describe_spot_price_history(self, **given):
        self._check("ec2", "DescribeSpotPriceHistory", given)
        return self._page("SpotPriceHistory", self.spot, given)

    def _check(self, service, operation, given):
        if self.refused:
            raise self.refused
        self.asked.append((operation, given))
        report = ParamValidator().validate(given, shape_of(service, operation))
        assert not report.has_errors(), report.generate_report()

    @staticmethod
    def _page(key, items, given):
        start = int(given.get("NextToken", 0))
        more = {"NextToken": str(start + 1)} if start + 1 < len(items) else {}
        return {key: items[start : start + 1], **more}


def seen(type_, zone, usd, hour=0):
    return {
        "InstanceType": type_,
        "AvailabilityZone": zone,
        "SpotPrice": f"{usd:.6f}",
        "Timestamp": datetime(2026, 11, 21, hour, tzinfo=UTC),
    }


def refresh(prices, aws, region="us-east-1"):
    return price_list.refreshed(prices, region=region, pricing=aws, ec2=aws, today=TODAY)


def linux(type_, usd, region="us-east-1", usage=None):
    return product(
        usage or f"BoxUsage:{type_}",
        (0, usd),
        instanceType=type_,
        regionCode=region,
        operatingSystem="Linux",
        tenancy="Shared",
        preInstalledSw="NA",
        capacitystatus="Used",
    )


OLD = table(nat={"gateway": 0.045}, ec2={"g6.xlarge": 0.8}, eks={"cluster-extended-support": 0.6})


def nat(usd, region="us-east-1", prefix=""):
    return product(f"{prefix}NatGateway-Hours", (0, usd), family="NAT Gateway", regionCode=region)


def test_a_price_that_aws_gives_takes_the_old_ones_place_with_date_and_source():
    new = refresh(OLD, FakeAws({"AmazonEC2": [nat(0.05)]}))
    price = new.prices.find("us-east-1", "nat/gateway")
    assert (price.usd, price.unit, price.as_of, price.note) == (0.05, "hour", TODAY, "AWS Price List, AmazonEC2")
    assert "us-east-1 nat/gateway: 0.045 -> 0.05 USD per hour, +11%" in list(new.report_lines())


def test_what_aws_gives_no_price_for_stays_and_is_reported():
    new = refresh(OLD, FakeAws())
    assert new.prices == OLD
    *_, last = new.report_lines()
    assert new.changed == ()
    assert "nat/gateway" in last
    assert "ec2/g6.xlarge" in last


def test_a_second_look_at_the_same_prices_changes_nothing():
    aws = FakeAws({"AmazonEC2": [nat(0.05)]}, spot=[seen("g6.xlarge", "us-east-1a", 0.4)])
    once = refresh(OLD, aws)
    twice = refresh(once.prices, aws)
    assert twice.prices == once.prices
    assert twice.changed == ()


def test_other_regions_stay_and_a_new_one_is_added():
    new = refresh(OLD, FakeAws({"AmazonEC2": [nat(0.048, "eu-west-1", "EU-"), nat(0.045)]}), region="eu-west-1")
    assert new.prices.regions["us-east-1"] == OLD.regions["us-east-1"]
    assert new.prices.find("eu-west-1", "nat/gateway").usd == 0.048
    assert new.changed == ("eu-west-1 nat/gateway: new, 0.048 USD per hour",)


def test_several_prices_for_one_item_are_not_guessed_among():
    new = refresh(OLD, FakeAws({"AmazonEC2": [nat(0.05), nat(0.06)]}))
    assert new.prices.find("us-east-1", "nat/gateway").usd == 0.045
    assert "nat/gateway" in new.kept


def test_usage_that_only_sounds_alike_is_not_taken():
    zone = {"family": "Web Application Firewall", "regionCode": "us-east-1"}
    shield = product("USE1-ShieldProtected-WebACLV2", (0, 3.0), **zone)
    new = refresh(OLD, FakeAws({"awswaf": [shield, product("USE1-WebACLV2", (0, 5.0), **zone)]}))
    assert new.prices.find("us-east-1", "waf/acl").usd == 5.0


def test_of_a_price_in_steps_the_first_that_is_not_free_is_taken():
    steps = product("KMS-Requests", (20_000, 0.000003), (0, 0.0), regionCode="us-east-1")
    new = refresh(OLD, FakeAws({"awskms": [steps]}))
    assert new.prices.find("us-east-1", "kms/requests").usd == pytest.approx(0.03)  # for 10,000


def test_throughput_is_turned_into_the_tables_unit():
    gibps = product("EBS:VolumeP-Throughput.gp3", (0, 40.96), family="Provisioned Throughput", regionCode="us-east-1")
    new = refresh(OLD, FakeAws({"AmazonEC2": [gibps]}))
    assert new.prices.find("us-east-1", "ebs/gp3-throughput").usd == pytest.approx(0.04)


def test_an_instance_is_the_plain_linux_one():
    products = [linux("g6.xlarge", 0.9), linux("g6.xlarge", 0.0, usage="UnusedBox:g6.xlarge")]
    products.append(linux("g6.xlarge", 1.5, usage="DedicatedUsage:g6.xlarge"))
    new = refresh(OLD, FakeAws({"AmazonEC2": products}))
    assert new.prices.find("us-east-1", "ec2/g6.xlarge").usd == 0.9


def test_a_database_class_of_the_table_is_asked_for():
    prices = table(rds_postgres={"db.t4g.micro": 0.016})
    given = {"instanceType": "db.t4g.micro", "databaseEngine": "PostgreSQL", "regionCode": "us-east-1"}
    single = product("InstanceUsage:db.t4g.micro", (0, 0.017), family="Database Instance",
                     deploymentOption="Single-AZ", **given)  # fmt: skip
    double = product("Multi-AZUsage:db.t4g.micro", (0, 0.034), family="Database Instance",
                     deploymentOption="Multi-AZ", **given)  # fmt: skip
    new = refresh(prices, FakeAws({"AmazonRDS": [single, double]}))
    assert new.prices.find("us-east-1", "rds-postgres/db.t4g.micro").usd == 0.017


def test_spot_is_the_mean_of_the_newest_prices_of_the_zones():
    spot = [
        seen("g6.xlarge", "us-east-1a", 0.3, hour=5),
        seen("g6.xlarge", "us-east-1a", 0.9, hour=1),
        seen("g6.xlarge", "us-east-1b", 0.5, hour=2),
    ]
    new = refresh(OLD, FakeAws(spot=spot))
    price = new.prices.find("us-east-1", "ec2-spot/g6.xlarge")
    assert price.usd == pytest.approx(0.4)
    assert price.note == "mean of 2 zones, 50% below on demand"


def test_the_new_table_can_be_read_again():
    aws = FakeAws({"AmazonEC2": [nat(0.05)]}, spot=[seen("g6.xlarge", "us-east-1a", 0.3)])
    new = refresh(OLD, aws).prices
    assert parse(text_of(new), "new") == new


def test_every_item_but_one_is_asked_for():
    aws = FakeAws()
    kept = set(refresh(OLD, aws).kept)
    single = {item for item in ITEMS if not item.endswith("/*")}
    assert single - kept == {"eks/cluster-extended-support"}
    assert {f"ec2/{type_}" for type_ in INSTANCE_TYPES} <= kept
    services = {given["ServiceCode"] for operation, given in aws.asked if operation == "GetProducts"}
    assert services <= {
        "AWSDataTransfer", "AWSELB", "AWSSecretsManager", "AmazonCloudWatch", "AmazonEC2", "AmazonECR", "AmazonEKS",
        "AmazonRDS", "AmazonRoute53", "AmazonS3", "AmazonVPC", "awskms", "awswaf",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("refused", "expected"),
    [
        (NoCredentialsError(), "the prices stay as they were: no AWS credentials were found"),
        (
            ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "GetProducts"),
            "the prices stay as they were: you may not call",
        ),
    ],
    ids=["no login", "not allowed"],
)
def test_what_aws_refuses_is_one_clear_line(refused, expected):
    with pytest.raises(PlatformError) as error:
        refresh(OLD, FakeAws(refused=refused))
    assert str(error.value).startswith(expected)
