import io
import json
from dataclasses import replace

import pytest
from rich.console import Console

from mlp.review.cost.bill import bill, difference
from mlp.review.cost.prices import load
from mlp.review.cost.report import as_data, as_markdown, as_rows, rendered, rendered_difference
from tests.mlp.review.cost.builders import committed, entry, pool, price, program, table

LIST = table(
    nat={"gateway": 0.10, "traffic": 0.05},
    kms={"key": 1.0, "requests": 0.03},
    ec2={"g6.xlarge": 1.0},
    ec2_spot={"g6.xlarge": 0.5},
    ebs={"gp3": 0.08},
)


def text_of(renderable, width=200):
    written = io.StringIO()
    Console(file=written, width=width).print(renderable)
    return written.getvalue()


def priced(*entries, prices=LIST):
    return bill([program(*entries)], prices)


NAT = entry("aws:ec2/natGateway:NatGateway")
KEY = entry("aws:kms/key:Key")


def test_the_bill_as_data_and_as_a_table_say_the_same():
    of = bill(committed("prod"), load())
    data, shown = as_data(of), text_of(rendered(of))
    assert f"{data['idle_usd_per_month']:,.2f}" in shown
    assert data["idle_usd_per_month"] == pytest.approx(sum(item["usd_per_month"] for item in data["items"]), abs=0.01)
    for item in data["items"]:
        [line] = [one for one in shown.splitlines() if one.startswith(f"  {item['name']}  ")]
        assert line.rstrip().endswith(f" {item['usd_per_month']:,.2f}")
    assert all(one["what"] in shown and one["reason"] in shown for one in data["unpriced"])
    assumed = {item["assumed"] for item in data["items"]} - {None}
    assert all(name in shown for name in assumed)
    assert "interface_endpoint_gb" not in shown  # there are none
    assert json.loads(json.dumps(data)) == data


def test_each_item_says_where_its_price_can_be_read():
    for item in as_data(bill(committed("dev"), load()))["items"]:
        assert item["source"].startswith("https://")
        assert item["as_of"] >= "2024-07-01"


def test_free_types_are_listed_with_the_reason():
    free = as_data(bill(committed("dev"), load()))["free"]
    assert free["aws:iam/role:Role"] == "identities, roles and policies are free"
    assert not [type_ for type_ in free if type_ in ("aws:eks/cluster:Cluster", "aws:s3/bucket:Bucket")]


def test_a_table_stands_in_areas_with_their_sums():
    lines = text_of(rendered(priced(NAT, KEY))).splitlines()
    network = next(line for line in lines if line.startswith("Network"))
    assert network.split() == ["Network", "75.50"]  # 730 h x 0.10, 50 GB x 0.05
    assert next(line for line in lines if line.startswith("idle")).split() == ["idle", "76.80"]


def test_a_bill_says_how_old_its_prices_are():
    assert "Prices as they were read from 2026-11-01 to 2026-11-01" in text_of(rendered(priced(KEY)))


def test_the_laptops_bill_is_one_line():
    assert text_of(rendered(bill(committed("local"), load()))).strip().count("\n") == 0


def test_names_with_brackets_are_no_markup():
    assert "[bold]core[/bold] nodes" in text_of(rendered(priced(*pool("[bold]core[/bold]", "g6.xlarge"))))


def test_a_difference_names_what_changed_and_by_how_much():
    changed = difference(priced(NAT, KEY), priced(NAT, replace(NAT, urn="urn:second"), *pool("gpu", "g6.xlarge")))
    assert as_rows(changed) == [
        ("Network", "NAT gateways", "73.00", "146.00", "+73.00"),
        ("Security", "encryption keys", "1.00", "-", "-1.00"),
        ("Security", "requests to keys", "0.30", "-", "-0.30"),
        ("Nodes", "gpu g6.xlarge, spot, an hour", "-", "0.5055", "+0.5055"),
        ("", "a month, idle", "76.80", "148.50", "+71.70"),
    ]


def test_a_difference_of_prices_alone_is_a_difference():
    dearer = table(nat={"gateway": 0.20, "traffic": 0.05})
    [row, total] = as_rows(difference(priced(NAT), priced(NAT, prices=dearer)))
    assert row == ("Network", "NAT gateways", "73.00", "146.00", "+73.00")
    assert total[-1] == "+73.00"


def test_markdown_says_the_sums_and_escapes_what_would_end_a_cell():
    changed = difference(priced(), priced(*pool("a|b", "g6.xlarge", smallest=1), entry("aws:fsx/lustre:FileSystem")))
    text = as_markdown(changed)
    assert text.startswith("**test** costs 369.00 USD a month when idle; it was 0.00 (+369.00).\n")
    assert "| Nodes | a\\|b nodes | - | 365.00 | +365.00 |" in text  # 730 h x 0.50
    assert "- aws:fsx/lustre:FileSystem: no rule says what it costs" in text


def test_markdown_of_no_change_is_one_line():
    assert as_markdown(difference(priced(NAT), priced(NAT))) == (
        "**test** costs 75.50 USD a month when idle, as before.\n"
    )


def test_what_was_unpriced_before_is_not_reported_as_new():
    unpriced = entry("aws:fsx/lustre:FileSystem")
    assert difference(priced(unpriced), priced(unpriced)).newly_unpriced == ()


def test_a_difference_at_a_terminal_has_the_same_rows():
    changed = difference(priced(NAT), priced(NAT, KEY))
    shown = text_of(rendered_difference(changed))
    assert all(cell in shown for row in as_rows(changed) for cell in row)


def test_a_price_of_nothing_is_shown_as_such():
    free = replace(LIST, regions={"us-east-1": {**LIST.regions["us-east-1"], "kms/key": price("kms/key", 0)}})
    assert as_data(priced(KEY, prices=free))["items"][0]["usd_per_month"] == 0
