"""Cost monitoring: the anomaly monitor, its emails, and the tags that cost reports group by."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from botocore.exceptions import ClientError

from infra.naming import PROJECT
from mlp.account.plan import COST_TAGS, Outcome
from mlp.shared.aws_session import Change

MONITOR = "cost anomaly monitor"
SUBSCRIPTION = "cost anomaly emails"
_NAME = PROJECT
_TAG_TO_COME = "AWS lists a tag a day after its first use; run this again"
_OFF = "Cost Explorer is off in this account; open it once in the Billing console and run this again a day later"
_MEMBER = "this account's bills are its organization's; run this, or activate the tags, in the management account"


def ensure_anomaly_alerts(ce: Any, emails: Sequence[str], usd: float, change: Change) -> Iterator[Outcome]:
    """Ensure a monitor of every service's spending, and daily emails to `emails` of anomalies from `usd` USD on.

    An account may hold one monitor of services alone: whoever made it, it is kept.
    """
    try:
        monitor = _service_monitor(ce, change)
    except ClientError as error:
        yield Outcome(thing=MONITOR, id="", state="waiting", note=_why_not(error))
        return
    yield monitor
    if emails:
        yield _subscription(ce, monitor.id, emails, usd, change)


def ensure_cost_tags(ce: Any, change: Change) -> Iterator[Outcome]:
    """Activate the cost tags as cost-allocation tags, as soon as AWS has seen them used."""
    try:
        tags = list(_pages(ce.list_cost_allocation_tags, "CostAllocationTags", TagKeys=list(COST_TAGS)))
        known = {tag["TagKey"]: tag["Status"] for tag in tags if tag["Type"] == "UserDefined"}
        active = [key for key in COST_TAGS if known.get(key) == "Active"]
        wanted = [key for key in COST_TAGS if key in known and key not in active]
        refused: dict[str, dict[str, str]] = {}
        if wanted:
            status = [{"TagKey": key, "Status": "Active"} for key in wanted]
            answer = change(ce.update_cost_allocation_tags_status, CostAllocationTagsStatus=status)
            refused = {error["TagKey"]: error for error in answer.get("Errors", [])}
    except ClientError as error:
        for key in COST_TAGS:
            yield Outcome(thing=f"cost-allocation tag {key}", id=key, state="waiting", note=_why_not(error))
        return
    for key in COST_TAGS:
        thing = f"cost-allocation tag {key}"
        if key not in known:
            yield Outcome(thing=thing, id=key, state="waiting", note=_TAG_TO_COME)
        elif key in refused:
            yield Outcome(thing=thing, id=key, state="waiting", note=_why_tag_waits(refused[key]))
        else:
            yield Outcome(thing=thing, id=key, state="kept" if key in active else "updated")


def _service_monitor(ce: Any, change: Change) -> Outcome:
    for monitor in _pages(ce.get_anomaly_monitors, "AnomalyMonitors"):
        if monitor["MonitorType"] == "DIMENSIONAL" and monitor.get("MonitorDimension") == "SERVICE":
            return Outcome(thing=MONITOR, id=monitor["MonitorArn"], state="kept", note=monitor["MonitorName"])
    wanted = {"MonitorName": _NAME, "MonitorType": "DIMENSIONAL", "MonitorDimension": "SERVICE"}
    answer = change(ce.create_anomaly_monitor, AnomalyMonitor=wanted)
    return Outcome(thing=MONITOR, id=answer.get("MonitorArn", ""), state="created")


def _subscription(ce: Any, monitor_arn: str, emails: Sequence[str], usd: float, change: Change) -> Outcome:
    wanted = {
        "MonitorArnList": [monitor_arn],
        "Subscribers": [{"Type": "EMAIL", "Address": address} for address in sorted(emails)],
        "Frequency": "DAILY",
        "ThresholdExpression": {
            "Dimensions": {
                "Key": "ANOMALY_TOTAL_IMPACT_ABSOLUTE",
                "MatchOptions": ["GREATER_THAN_OR_EQUAL"],
                "Values": [f"{usd:g}"],
            }
        },
    }
    # A monitor that is only to be made has no ARN and no subscriptions.
    there = _pages(ce.get_anomaly_subscriptions, "AnomalySubscriptions", MonitorArn=monitor_arn) if monitor_arn else ()
    for found in there:
        if found["SubscriptionName"] != _NAME:
            continue
        arn = found["SubscriptionArn"]
        if _terms(found) == _terms(wanted):
            return Outcome(thing=SUBSCRIPTION, id=arn, state="kept")
        change(ce.update_anomaly_subscription, SubscriptionArn=arn, **wanted)
        before = ", ".join(sorted(one["Address"] for one in found["Subscribers"]))
        return Outcome(thing=SUBSCRIPTION, id=arn, state="updated", note=f"went to {before}")
    answer = change(ce.create_anomaly_subscription, AnomalySubscription={"SubscriptionName": _NAME, **wanted})
    return Outcome(thing=SUBSCRIPTION, id=answer.get("SubscriptionArn", ""), state="created")


def _terms(subscription: Any) -> tuple[object, ...]:
    """Return a subscription's recipients, frequency and threshold in USD; AWS may spell a number its own way."""
    threshold = subscription.get("ThresholdExpression", {}).get("Dimensions", {})
    return (
        sorted(subscription["MonitorArnList"]),
        sorted(one["Address"] for one in subscription["Subscribers"]),
        subscription["Frequency"],
        threshold.get("Key"),
        threshold.get("MatchOptions"),
        [float(value) for value in threshold.get("Values", [])],
    )


def _pages(ask: Callable[..., Any], key: str, **arguments: Any) -> Iterator[Any]:
    """Yield every item that AWS lists under `key`."""
    answer = ask(**arguments)
    yield from answer[key]
    while more := {name: answer[name] for name in ("NextPageToken", "NextToken") if answer.get(name)}:
        answer = ask(**arguments, **more)
        yield from answer[key]


def _why_tag_waits(error: dict[str, str]) -> str:
    unknown = "NotFound" in error.get("Code", "") or "not found" in error.get("Message", "").lower()
    return _TAG_TO_COME if unknown else f"{_TAG_TO_COME} (AWS says: {error.get('Message', error.get('Code'))})"


def _why_not(error: ClientError) -> str:
    """Return why Cost Explorer does not serve this account at all; raise `error` for any other reason."""
    message = error.response["Error"].get("Message", "").lower()
    if "linked account" in message:
        return _MEMBER
    if error.response["Error"]["Code"] == "DataUnavailableException" or "not enabled for cost explorer" in message:
        return _OFF
    raise error
