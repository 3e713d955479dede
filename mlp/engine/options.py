"""The options of a resource, read from the request that registers it: each is followed or refused by name."""

from __future__ import annotations

from typing import Any

from mlp.engine.cloud import Registration
from mlp.shared.errors import PlatformError

_FOLLOWED = {
    "additionalSecretOutputs",
    "aliases",
    "customTimeouts",
    "deleteBeforeReplace",
    "deleteBeforeReplaceDefined",
    "deletedWith",
    "dependencies",
    "ignoreChanges",
    "parent",
    "protect",
    "provider",
    "providers",
    "replaceOnChanges",
    "retainOnDelete",
}
_NOT_OPTIONS = {
    "acceptResources",
    "acceptSecrets",
    "accepts_byte_string",
    "aliasSpecs",
    "custom",
    "name",
    "object",
    "packageRef",
    "parentStackTraceHandle",
    "pluginChecksums",
    "pluginDownloadURL",
    "propertyDependencies",
    "remote",
    "snippetId",
    "sourcePosition",
    "stackTrace",
    "supportsPartialValues",
    "supportsResultReporting",
    "type",
    "version",
}
"""Fields of the request that are no options: the resource, source positions, what the SDK supports."""
_PROGRAM_NAMES = {
    "importId": "import_",
    "hideDiffs": "hide_diffs",
    "envVarMappings": "env_var_mappings",
}
"""Names of options in a program, by their names in the request, where these differ."""


def options(request: Any, parent: Registration | None) -> dict[str, Any]:
    """Return the options in a RegisterResourceRequest as fields of `Registration`, without its aliases.

    Options that the request does not set are inherited from `parent`, as in Pulumi's engine. Raise PlatformError for an
    option that plans do not follow.
    """
    refused = [
        _PROGRAM_NAMES.get(field.name, field.name) for field, value in request.ListFields() if _is_unknown(field, value)
    ]
    if refused:
        raise PlatformError(
            f"{request.type} {request.name}: a plan does not follow the option {', '.join(refused)}; leave it out, "
            "or add it to mlp/engine/options.py and to what reads plans"
        )
    timeouts = {field.name: value for field, value in request.customTimeouts.ListFields()}
    return {
        "protect": request.protect if request.HasField("protect") else bool(parent and parent.protect),
        "ignore_changes": tuple(request.ignoreChanges),
        "replace_on_changes": tuple(request.replaceOnChanges),
        "delete_before_replace": request.deleteBeforeReplace if request.deleteBeforeReplaceDefined else None,
        "retain_on_delete": (
            request.retainOnDelete if request.HasField("retainOnDelete") else bool(parent and parent.retain_on_delete)
        ),
        "deleted_with": request.deletedWith or None,
        "custom_timeouts": timeouts,
    }


def _is_unknown(field: Any, value: Any) -> bool:
    """Return whether a set field of the request is unknown: neither a followed option nor part of the protocol."""
    return field.name not in _FOLLOWED | _NOT_OPTIONS and (field.name != "hooks" or value.ByteSize() > 0)
