"""IAM: roles, what they may do, and the issuers that they trust."""

from __future__ import annotations

from botocore.exceptions import ClientError

from mlp.engine.cloud import Created, hex_digits, physical_name
from mlp.engine.clouds.moto.request import Handler, Request, pascal
from mlp.shared.errors import PlatformError

MANAGED_POLICIES_VARIABLE = "MOTO_IAM_LOAD_MANAGED_POLICIES"
"""Environment variable of the emulator: with `true` it knows the policies that AWS manages."""


def _role(request: Request) -> Created:
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


def _role_policy(request: Request) -> Created:
    name = request.take("name") or physical_name(request.wanted)
    arguments = request.arguments({"role": "RoleName", "policy": "PolicyDocument"})
    iam = request.client("iam")
    iam.put_role_policy(PolicyName=name, **arguments)
    made = iam.get_role_policy(RoleName=arguments["RoleName"], PolicyName=name)
    return Created(id=f"{made['RoleName']}:{made['PolicyName']}", outputs={"name": made["PolicyName"]})


def _role_attachment(request: Request) -> Created:
    arguments = request.arguments({"role": "RoleName", "policyArn": "PolicyArn"})
    try:
        request.client("iam").attach_role_policy(**arguments)
    except ClientError as error:
        policy = arguments["PolicyArn"]
        if policy not in error.response["Error"]["Message"] or ":iam::aws:policy/" not in policy:
            raise
        raise PlatformError(
            f"{request.wanted.type} {request.wanted.name}: the emulator knows no AWS-managed policy {policy}; "
            f"correct its name, or start the emulator with {MANAGED_POLICIES_VARIABLE}=true"
        ) from error
    # AWS gives an attachment no id; Pulumi's provider makes one up.
    return Created(id=f"{arguments['RoleName']}-{hex_digits(request.wanted.urn, 26)}")


def _oidc_provider(request: Request) -> Created:
    fields = {"url": "Url", "clientIdLists": "ClientIDList", "thumbprintLists": "ThumbprintList"}
    arn = request.client("iam").create_open_id_connect_provider(Tags=request.tag_list(), **request.arguments(fields))[
        "OpenIDConnectProviderArn"
    ]
    return Created(id=arn, outputs={"arn": arn})


HANDLERS: dict[str, Handler] = {
    "aws:iam/openIdConnectProvider:OpenIdConnectProvider": _oidc_provider,
    "aws:iam/role:Role": _role,
    "aws:iam/rolePolicy:RolePolicy": _role_policy,
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment": _role_attachment,
}
