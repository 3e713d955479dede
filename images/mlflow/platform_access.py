"""What MLflow's own permissions do not tell apart: the `authorization_function` of its login.

To MLflow whoever may add a version may set its aliases, everybody may create experiments and models, and the creator of
a model may do anything with it. Here only an account that holds PROMOTE sets and removes aliases, by whatever way; one
that holds READ only reads; one that holds nothing, made by hand, creates nothing. MLflow's own rules hold besides, and
its administrators may do all.
"""

from __future__ import annotations

from flask import Response, request
from mlflow.protos import model_registry_pb2 as registry
from mlflow.protos.service_pb2 import CreateExperiment
from mlflow.server import auth
from mlflow.server.handlers import get_endpoints
from platform_roles import ROLES, role_name
from werkzeug.datastructures import Authorization

_READS = ("GET", "HEAD", "OPTIONS")
_READS_BY_POST = ("search", "search-datasets", "graphql", "telemetry", "update-password")
"""Last words of the paths at which an account that only reads may send something; its password is its own."""
_CREATORS, _PROMOTERS = ("EDIT", "PROMOTE", "MANAGE"), ("PROMOTE",)
_NEEDED = {
    CreateExperiment: _CREATORS,
    registry.CreateRegisteredModel: _CREATORS,
    registry.SetRegisteredModelAlias: _PROMOTERS,
    registry.DeleteRegisteredModelAlias: _PROMOTERS,
    # An alias goes with its model's name, and is gone with its version.
    registry.RenameRegisteredModel: _PROMOTERS,
    registry.DeleteRegisteredModel: ("PROMOTE", "MANAGE"),
    registry.DeleteModelVersion: ("PROMOTE", "MANAGE"),
    # Stages are what aliases were before, and still name versions to load.
    registry.TransitionModelVersionStage: _PROMOTERS,
}
"""Permissions of which one is needed, by the kind of request."""
# MLflow refuses everybody but administrators what it has no rule for; Prometheus reads its figures with a login.
auth.BEFORE_REQUEST_VALIDATORS["/metrics", "GET"] = lambda: True
_NEEDED_AT = {
    (path, method): _NEEDED[kind]
    for path, kind, methods in get_endpoints(lambda kind: kind)
    if kind in _NEEDED
    for method in methods
}


def authenticate() -> Authorization | Response:
    """Return the login of the current request, or the answer that refuses it."""
    login = auth.authenticate_request_basic_auth()
    if isinstance(login, Response) or request.method in _READS:
        return login
    refusal = _refusal(str(login.username), request.path, request.method)
    return login if refusal is None else Response(f"Permission denied: {refusal}", status=403)


def _refusal(username: str, path: str, method: str) -> str | None:
    """Return why the account may not do this; None where MLflow's own rules decide."""
    user = auth.store.get_user(username)
    if user.is_admin:
        return None
    names = {role.name for role in auth.store.list_user_roles(user.id)}
    held = {permission for permission in ROLES if role_name(permission) in names}
    needed = _NEEDED_AT.get((path, method))
    if needed and held.isdisjoint(needed):
        return f"this needs {' or '.join(needed)}; {username} has {' and '.join(sorted(held)) or 'neither'}"
    if held == {"READ"} and path.rpartition("/")[2] not in _READS_BY_POST:
        return f"{username} has READ, which changes nothing"
    return None
