"""IAM: roles, their permissions, and the issuers that they trust."""

from __future__ import annotations

from collections.abc import Mapping

from mlp.engine.cloud import Created, Place, Registration, hex_digits, physical_name
from mlp.engine.types.aws import AT_ONCE, SMALL_IN_LOGS, forced_by_aws
from mlp.engine.types.facts import AwsType, Duration, Inputs
from mlp.engine.types.request import Request, pascal
from mlp.shared.errors import PlatformError

_FREE = "identities, roles and policies are free"
MANAGED_POLICIES_VARIABLE = "MOTO_IAM_LOAD_MANAGED_POLICIES"
"""Environment variable of the emulator; `true` loads the policies that AWS manages."""


def _record_role(wanted: Registration, inputs: Inputs, place: Place) -> Created:
    name = inputs.get("name") or physical_name(wanted)
    arn = place.arn("iam", f"role{inputs.get('path', '/')}{name}", region="")
    return Created(id=name, outputs={"name": name, "arn": arn})


def _record_role_policy(wanted: Registration, inputs: Inputs, _place: Place) -> Created:
    name = inputs.get("name") or physical_name(wanted)
    return Created(id=f"{inputs['role']}:{name}", outputs={"name": name})


def _record_role_attachment(wanted: Registration, inputs: Inputs, _place: Place) -> Created:
    return Created(id=f"{inputs['role']}-{hex_digits(wanted.urn, 26)}")


def _record_oidc_provider(_wanted: Registration, inputs: Inputs, place: Place) -> Created:
    arn = place.arn("iam", f"oidc-provider/{inputs['url'].removeprefix('https://')}", region="")
    return Created(id=arn, outputs={"arn": arn})


def _make_role(request: Request) -> Created:
    name = request.take("name") or physical_name(request.wanted)
    role = request.client("iam").create_role(
        RoleName=name,
        Tags=request.tag_list(),
        **request.arguments(
            {
                **pascal("description", "maxSessionDuration", "path", "permissionsBoundary"),
                "assumeRolePolicy": "AssumeRolePolicyDocument",
            }
        ),
    )["Role"]
    return Created(id=role["RoleName"], outputs={"name": role["RoleName"], "arn": role["Arn"]})


def _make_role_policy(request: Request) -> Created:
    name = request.take("name") or physical_name(request.wanted)
    arguments = request.arguments({"role": "RoleName", "policy": "PolicyDocument"})
    iam = request.client("iam")
    iam.put_role_policy(PolicyName=name, **arguments)
    made = iam.get_role_policy(RoleName=arguments["RoleName"], PolicyName=name)
    return Created(id=f"{made['RoleName']}:{made['PolicyName']}", outputs={"name": made["PolicyName"]})


def _make_role_attachment(request: Request) -> Created:
    arguments = request.arguments({"role": "RoleName", "policyArn": "PolicyArn"})
    iam = request.client("iam")
    try:
        iam.attach_role_policy(**arguments)
    except iam.exceptions.ClientError as error:
        policy = arguments["PolicyArn"]
        if policy not in error.response["Error"]["Message"] or ":iam::aws:policy/" not in policy:
            raise
        raise PlatformError(
            f"{request.wanted.type} {request.wanted.name}: the emulator knows no AWS-managed policy {policy}; "
            f"correct its name, or start the emulator with {MANAGED_POLICIES_VARIABLE}=true"
        ) from error
    # AWS gives an attachment no id; Pulumi's provider makes one up.
    return Created(id=f"{arguments['RoleName']}-{hex_digits(request.wanted.urn, 26)}")


def _make_oidc_provider(request: Request) -> Created:
    fields = {"url": "Url", "clientIdLists": "ClientIDList", "thumbprintLists": "ThumbprintList"}
    arn = request.client("iam").create_open_id_connect_provider(Tags=request.tag_list(), **request.arguments(fields))[
        "OpenIDConnectProviderArn"
    ]
    return Created(id=arn, outputs={"arn": arn})


TYPES: Mapping[str, AwsType] = {
    "aws:iam/openIdConnectProvider:OpenIdConnectProvider": AwsType(
        replaced_by=forced_by_aws("iam/openid_connect_provider", "url", regional=False),
        recorder=_record_oidc_provider,
        emulator=_make_oidc_provider,
        takes=AT_ONCE,
        precious=None,
        price=_FREE,
    ),
    "aws:iam/role:Role": AwsType(
        replaced_by=forced_by_aws("iam/role", "name namePrefix path", regional=False),
        recorder=_record_role,
        emulator=_make_role,
        takes=Duration(7, SMALL_IN_LOGS),
        precious=None,
        price=_FREE,
    ),
    "aws:iam/rolePolicy:RolePolicy": AwsType(
        replaced_by=forced_by_aws("iam/role_policy", "name namePrefix role", regional=False),
        recorder=_record_role_policy,
        emulator=_make_role_policy,
        takes=AT_ONCE,
        precious=None,
        price=_FREE,
    ),
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment": AwsType(
        replaced_by=forced_by_aws("iam/role_policy_attachment", "policyArn role", regional=False),
        recorder=_record_role_attachment,
        emulator=_make_role_attachment,
        takes=Duration(4, SMALL_IN_LOGS),
        precious=None,
        price=_FREE,
    ),
}
