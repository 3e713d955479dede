import pytest
from botocore.exceptions import ClientError

from mlp.account.costs import ensure_anomaly_alerts, ensure_cost_tags
from mlp.account.operation import bootstrap
from mlp.account.plan import COST_TAGS
from mlp.shared.aws_session import change
from mlp.shared.errors import PlatformError
from tests.mlp.account.builders import EMAIL, FakeCostExplorer, Quiet, options, refusal

ARN = "arn:aws:ce::123456789012:anomaly/{}"
OFF = refusal("AccessDeniedException", "User not enabled for cost explorer access", "GetAnomalyMonitors")
MEMBER = refusal(
    "AccessDeniedException",
    "Failed to list Cost Allocation Tags: Linked account doesn't have access to cost allocation tags.",
    "ListCostAllocationTags",
)
REFUSED = refusal(
    "AccessDeniedException", "User: me is not authorized to perform: ce:GetAnomalyMonitors", "GetAnomalyMonitors"
)


def alerts(ce, *emails, usd=50):
    return list(ensure_anomaly_alerts(ce, emails, usd, change))


def test_the_one_monitor_of_services_is_found_behind_others_and_kept():
    ce = FakeCostExplorer()
    ce.monitors = [
        {"MonitorArn": ARN.format("custom"), "MonitorName": "x", "MonitorType": "CUSTOM"},
        {"MonitorArn": ARN.format("tags"), "MonitorName": "y", "MonitorType": "DIMENSIONAL", "MonitorDimension": "TAG"},
        {
            "MonitorArn": ARN.format("theirs"),
            "MonitorName": "z",
            "MonitorType": "DIMENSIONAL",
            "MonitorDimension": "SERVICE",
        },
    ]
    [monitor, emails] = alerts(ce, EMAIL)
    assert (monitor.state, monitor.id) == ("kept", ARN.format("theirs"))
    assert emails.state == "created"
    assert ce.subscriptions[0]["MonitorArnList"] == [ARN.format("theirs")]


def test_without_addresses_there_is_a_monitor_and_no_email():
    ce = FakeCostExplorer()
    assert [one.state for one in alerts(ce)] == ["created"]
    assert ce.subscriptions == []


def test_emails_go_out_daily_from_the_given_amount_on():
    ce = FakeCostExplorer()
    alerts(ce, EMAIL, "b@example.org", usd=12.5)
    [subscription] = ce.subscriptions
    assert subscription["Frequency"] == "DAILY"
    assert {one["Address"] for one in subscription["Subscribers"]} == {EMAIL, "b@example.org"}
    threshold = subscription["ThresholdExpression"]["Dimensions"]
    assert (threshold["Key"], threshold["Values"]) == ("ANOMALY_TOTAL_IMPACT_ABSOLUTE", ["12.5"])


@pytest.mark.parametrize(
    ("emails", "usd", "state"),
    [((EMAIL,), 50, "kept"), ((EMAIL, "b@example.org"), 50, "updated"), ((EMAIL,), 60, "updated")],
)
def test_a_subscription_is_kept_until_addresses_or_amount_change(emails, usd, state):
    ce = FakeCostExplorer()
    alerts(ce, EMAIL)
    ce.subscriptions.insert(
        0, {**ce.subscriptions[0], "SubscriptionName": "theirs", "SubscriptionArn": ARN.format("theirs")}
    )
    assert alerts(ce, *emails, usd=usd)[1].state == state
    assert alerts(ce, *emails, usd=usd)[1].state == "kept"
    assert len(ce.subscriptions) == 2


def test_tags_are_activated_once_aws_has_seen_them():
    ce = FakeCostExplorer(seen_tags=("Project",))
    first, *others = ensure_cost_tags(ce, change)
    assert (first.id, first.state) == ("Project", "updated")
    assert {one.state for one in others} == {"waiting"}
    assert "AWS lists a tag a day after its first use; run this again" in others[0].note
    ce.tags |= dict.fromkeys(COST_TAGS[1:], "Inactive")
    assert [one.state for one in ensure_cost_tags(ce, change)] == ["kept", *["updated"] * (len(COST_TAGS) - 1)]
    assert {one.state for one in ensure_cost_tags(ce, change)} == {"kept"}


@pytest.mark.parametrize(("error", "said"), [(OFF, "Cost Explorer is off"), (MEMBER, "management account")])
def test_an_account_without_cost_explorer_gets_all_the_rest(account, error, said):
    account.ce.unavailable = error
    result = bootstrap(options(emails=(EMAIL,), zone="ml.example.org"), account, Quiet())
    waiting = [one for one in result.outcomes if one.state == "waiting"]
    assert len(waiting) == 1 + len(COST_TAGS)
    assert all(said in one.note for one in waiting)
    assert "zone ml.example.org" in {one.thing for one in result.outcomes if one.state == "created"}


def test_a_missing_permission_is_a_fault_and_not_taken_for_an_account_without_cost_explorer(account):
    account.ce.unavailable = REFUSED
    with pytest.raises(PlatformError, match="you may not call ce:GetAnomalyMonitors"):
        bootstrap(options(), account, Quiet())
    with pytest.raises(ClientError):
        list(ensure_cost_tags(account.ce, change))
