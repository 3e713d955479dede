"""GitHub's login provider and the roles behind it, created or updated."""

from __future__ import annotations

import json
from typing import Any

from botocore.exceptions import ClientError

from mlp.account.plan import AUDIENCE, GITHUB_ISSUER, OWN_TAGS, POLICY_NAME, Account, Outcome, RolePlan
from mlp.shared.aws_session import Change

_TAGS = [{"Key": key, "Value": value} for key, value in OWN_TAGS.items()]


def ensure_github_provider(iam: Any, account: Account, change: Change) -> Outcome:
    """Ensure GitHub's OIDC provider with AWS's audience; an existing one keeps what else it has."""
    thing, arn = "GitHub login provider", account.github_provider_arn
    provider = _answer_or_none(iam.get_open_id_connect_provider, OpenIDConnectProviderArn=arn)
    if provider is None:
        # AWS checks GitHub's certificate against its own authorities: no thumbprint.
        change(iam.create_open_id_connect_provider, Url=f"https://{GITHUB_ISSUER}", ClientIDList=[AUDIENCE], Tags=_TAGS)
        return Outcome(thing=thing, id=arn, state="created")
    if AUDIENCE not in provider["ClientIDList"]:
        change(iam.add_client_id_to_open_id_connect_provider, OpenIDConnectProviderArn=arn, ClientID=AUDIENCE)
        return Outcome(thing=thing, id=arn, state="updated", note=f"audience {AUDIENCE}")
    return Outcome(thing=thing, id=arn, state="kept")


def ensure_role(iam: Any, plan: RolePlan, change: Change) -> Outcome:
    """Ensure the role as planned. Policies that others attached stay, and the outcome's note names them."""
    thing = f"role {plan.name}"
    found = _answer_or_none(iam.get_role, RoleName=plan.name)
    if found is None:
        _create(iam, plan, change)
        return Outcome(thing=thing, id=plan.arn, state="created")
    changed = _update(iam, plan, found["Role"], change)
    notes = [", ".join(changed)] if changed else []
    foreign = _foreign_policies(iam, plan.name)
    if foreign:
        notes.append(f"also holds {', '.join(foreign)}: take that off unless you put it there")
    return Outcome(thing=thing, id=found["Role"]["Arn"], state="updated" if changed else "kept", note="; ".join(notes))


def same_document(one: Any, other: Any) -> bool:
    """Return whether two IAM documents are equivalent: order is ignored, and one value equals a list of it."""
    return bool(_canonical(one) == _canonical(other))


def _create(iam: Any, plan: RolePlan, change: Change) -> None:
    boundary = {"PermissionsBoundary": plan.permissions_boundary} if plan.permissions_boundary else {}
    change(
        iam.create_role,
        RoleName=plan.name,
        Description=plan.description,
        AssumeRolePolicyDocument=plan.trust,
        MaxSessionDuration=plan.max_session_s,
        Tags=_TAGS,
        **boundary,
    )
    change(iam.put_role_policy, RoleName=plan.name, PolicyName=POLICY_NAME, PolicyDocument=plan.policy)


def _update(iam: Any, plan: RolePlan, role: dict[str, Any], change: Change) -> list[str]:
    """Update the role to the plan; return what had to be changed."""
    changed = []
    if not same_document(role["AssumeRolePolicyDocument"], plan.trust):
        change(iam.update_assume_role_policy, RoleName=plan.name, PolicyDocument=plan.trust)
        changed.append("trust")
    policy = _answer_or_none(iam.get_role_policy, RoleName=plan.name, PolicyName=POLICY_NAME)
    if policy is None or not same_document(policy["PolicyDocument"], plan.policy):
        change(iam.put_role_policy, RoleName=plan.name, PolicyName=POLICY_NAME, PolicyDocument=plan.policy)
        changed.append("policy")
    described = {"Description": plan.description, "MaxSessionDuration": plan.max_session_s}
    if any(role.get(key) != value for key, value in described.items()):
        change(iam.update_role, RoleName=plan.name, **described)
        changed.append("session length and description")
    boundary = role.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn")
    if plan.permissions_boundary and boundary != plan.permissions_boundary:
        change(iam.put_role_permissions_boundary, RoleName=plan.name, PermissionsBoundary=plan.permissions_boundary)
        changed.append("permissions boundary")
    return changed


def _foreign_policies(iam: Any, role_name: str) -> list[str]:
    inline = iam.list_role_policies(RoleName=role_name)["PolicyNames"]
    attached = iam.list_attached_role_policies(RoleName=role_name)["AttachedPolicies"]
    return sorted({*inline, *(one["PolicyName"] for one in attached)} - {POLICY_NAME})


def _answer_or_none(ask: Any, **arguments: Any) -> Any:
    """Return what AWS answers, or None when there is no such thing."""
    try:
        return ask(**arguments)
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchEntity":
            raise
        return None


def _canonical(value: Any) -> Any:
    if isinstance(value, str) and value.lstrip().startswith("{"):
        value = json.loads(value)
    if isinstance(value, dict):
        return {key: _canonical(item) for key, item in value.items()}
    if isinstance(value, list):
        items = [_canonical(item) for item in value]
        return items[0] if len(items) == 1 else sorted(items, key=lambda item: json.dumps(item, sort_keys=True))
    return value
