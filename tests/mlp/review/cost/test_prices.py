import json

import pytest

from infra.facts.instance_types import INSTANCE_TYPES
from mlp.review.cost import prices
from mlp.review.cost.prices import ITEMS, load, parse
from mlp.shared.errors import PlatformError

GOOD = {"usd": 0.1, "unit": "hour", "source": "https://example.com", "as_of": "2026-11-01"}


def text(items, *, format_=1):
    return json.dumps({"format": format_, "prices": {"us-east-1": items}})


def test_the_committed_table_has_every_item_that_a_bill_asks_for_but_one():
    table = load()
    single = [item for item in ITEMS if not item.endswith("/*")]
    assert [item for item in single if not table.find("us-east-1", item)] == ["logs/parquet"]


def test_the_committed_table_has_every_instance_type_on_demand_and_most_as_spot_below_it():
    table = load()
    without_spot = []
    for type_ in INSTANCE_TYPES:
        on_demand, spot = table.find("us-east-1", f"ec2/{type_}"), table.find("us-east-1", f"ec2-spot/{type_}")
        assert on_demand
        if spot is None:
            without_spot.append(type_)
        else:
            assert 0 < spot.usd < on_demand.usd
    assert without_spot == ["m8i.large", "m8i.xlarge", "m8i.2xlarge", "p5.4xlarge"]


def test_the_committed_table_is_written_as_a_refresh_writes_it():
    assert prices.FILE.read_text() == prices.as_text(load())


def test_a_price_that_is_the_same_everywhere_is_found_in_a_region_without_one_of_its_own():
    table = load()
    assert table.find("eu-west-1", "eks/cluster") == table.find("us-east-1", "eks/cluster")
    assert table.find("eu-west-1", "nat/gateway") is None


def test_a_table_says_the_same_after_it_was_written_and_read():
    assert parse(prices.as_text(load()), "again") == load()


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"unit": None}, "prices.us-east-1.nat/gateway.unit: Field required"),
        ({"source": None}, "prices.us-east-1.nat/gateway.source: Field required"),
        ({"as_of": None}, "prices.us-east-1.nat/gateway.as_of: Field required"),
        ({"usd": -1}, "prices.us-east-1.nat/gateway.usd: Input should be greater than or equal to 0 (got -1)"),
        ({"usd": "0.1"}, "prices.us-east-1.nat/gateway.usd: Input should be a valid number (got '0.1')"),
        ({"usd": True}, "prices.us-east-1.nat/gateway.usd: Input should be a valid number (got True)"),
        ({"usd": float("inf")}, "prices.us-east-1.nat/gateway.usd: Input should be a finite number (got inf)"),
        ({"unit": "GB"}, "prices.us-east-1.nat/gateway.unit: must be 'hour' (got 'GB')"),
        ({"as_of": "soon"}, "prices.us-east-1.nat/gateway.as_of: Input should be a valid date"),
        ({"source": "a colleague"}, "prices.us-east-1.nat/gateway.source: String should match pattern"),
        ({"tax": 1}, "prices.us-east-1.nat/gateway.tax: Extra inputs are not permitted (got 1)"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else None,
)
def test_a_fault_of_a_price_is_reported_with_its_key(change, expected):
    fields = {key: value for key, value in {**GOOD, **change}.items() if value is not None}
    with pytest.raises(PlatformError) as error:
        parse(text({"nat/gateway": fields}), "prices.json")
    assert "prices.json has 1 fault" in str(error.value)
    assert expected in str(error.value)


def test_all_faults_of_a_file_are_reported_at_once():
    twice = '"nat/gateway": {"usd": 1}'
    broken = f'{{"format": 1, "prices": {{"us-east-1": {{{twice}, {twice}, "nat/gatway": {{}}}}, "eu-west-1": 3}}}}'
    with pytest.raises(PlatformError) as error:
        parse(broken, "prices.json")
    message = str(error.value)
    assert "prices.json has 6 faults" in message
    assert "nat/gateway is there 2 times; keep one" in message
    assert "prices.us-east-1.nat/gateway.source: Field required" in message
    assert "prices.us-east-1.nat/gatway is no item of the bill; the items are alb/hours, " in message
    assert "prices.eu-west-1 must map items to prices (got 3)" in message


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (text({}, format_=2), "prices.json has format 2, and this version of mlp reads format 1"),
        ("[]", "prices.json has format None"),
        ('{"format": 1}', "`prices` must map regions to prices (got None)"),
        ("{", "prices.json is not JSON"),
    ],
    ids=["newer", "a list", "empty", "cut off"],
)
def test_a_file_of_another_form_is_one_clear_line(content, expected):
    with pytest.raises(PlatformError) as error:
        parse(content, "prices.json")
    assert expected in str(error.value)
    assert "\n" not in str(error.value)


def test_a_file_that_cannot_be_read_is_one_clear_line(tmp_path):
    (tmp_path / "prices.json").write_bytes(b"\xff\xfe")
    with pytest.raises(PlatformError, match=r"prices.json cannot be read: .*; fix it or restore"):
        load(tmp_path / "prices.json")
    with pytest.raises(PlatformError, match="No such file"):
        load(tmp_path / "missing.json")
