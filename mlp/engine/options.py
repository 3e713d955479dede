"""The options of a resource, from the request by which a program registers it: each is followed or refused by name."""

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
_NO_OPTION = {
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
"""What the request says of the resource itself, of the program's text, and of what the SDK understands."""
_WRITTEN = {
    "importId": "import_",
    "hideDiffs": "hide_diffs",
    "envVarMappings": "env_var_mappings",
}
"""Options as a program writes them, where the request has another word."""


def options(request: Any, parent: Registration | None) -> dict[str, Any]:
    """Return the options in a RegisterResourceRequest as fields of `Registration`, without its aliases.

    What the request leaves open is taken from `parent`, as Pulumi's engine does. Raises PlatformError for an option
    that plans do not follow.
    """
    refused = [
        _WRITTEN.get(field.name, field.name) for field, value in request.ListFields() if _is_strange(field, value)
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


def _is_strange(field: Any, value: Any) -> bool:
    """Return whether a field of the request is set that is neither followed nor part of how the SDK speaks."""
    return field.name not in _FOLLOWED | _NO_OPTION and (field.name != "hooks" or value.ByteSize() > 0)
