"""The rule about secrets in plain text."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from policies.rules.model import Context, Finding, Plan, PlannedResource, Rule
from policies.rules.reading import at, inside, parsed, texts

SHOWN = "[secret]"
"""Placeholder in a plan of a value that is marked secret."""
_SHAPES = {
    "an AWS access key": re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    "a private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
    "a GitHub token": re.compile(r"\b(?:gh[opsur]_[0-9A-Za-z]{36}|github_pat_[0-9A-Za-z_]{22})"),
    "a Slack token": re.compile(r"\bxox[abeprs]-[0-9A-Za-z-]{10}"),
    "a Slack webhook": re.compile(r"https://hooks\.slack\.com/(?:services|workflows|triggers)/\w"),
    # What begins with `$` or `{` is filled in where the secret is.
    "a URL with a password": re.compile(r"\b[a-z][a-z0-9+.-]*://[^\s/:@$<>{}'\"]+:[^\s/:@$<>{}'\"]+@"),
}
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z0-9]+")
_SECRET_WORDS = {"password", "passwords", "passwd", "passphrase", "secret", "token", "credential", "webhook"}
_SECRET_KEYS = {"api", "secret", "private", "access", "encryption", "fernet"}
"""Words that precede `key` in the name of a secret."""
_REFERENCE = re.compile(r"arn:|[/$<{]|https?://")
"""Pattern of values that only say where a secret is: an ARN, a file, a variable, an address."""
_SECRET_HOLDERS = (
    "aws:rds/",
    "aws:secretsmanager/",
    "aws:ssm/",
    "docker-build:",
    "kubernetes:core/v1:Secret",
    "pulumi:providers:",
    "random:",
    "tls:",
)
"""Types that hold secrets by design; where nothing is marked, none of theirs is a leak."""


def _no_plain_secrets(plan: Plan, context: Context) -> Iterator[Finding]:
    known = _secret_names(plan)
    for resource in plan:
        if not context.marks_secrets and resource.type.startswith(_SECRET_HOLDERS):
            continue
        for key, text in _plain(resource.properties):
            what = _leaked(text, context.secret_values) or (
                context.marks_secrets and _looks_secret(key, text, known) and "what its name says is secret"
            )
            if what:
                message = (
                    f"{key} of {_kind(resource)} {resource.name} holds {what} in plain; keep it in Secrets Manager, or "
                    "mark it with pulumi.Output.secret"
                )
                yield resource, message


def _kind(resource: PlannedResource) -> str:
    return resource.type.rpartition(":")[2]


def _plain(properties: Any) -> Iterator[tuple[str, str]]:
    """Yield every text within, under its key; the value of an environment variable under the variable's name."""
    for one in inside(properties):
        refers = any(key in one for key in ("secretName", "remoteRef"))
        for key, value in one.items():
            if refers and key == "secretKey":  # a key within the Secret that is named beside it
                continue
            name = one["name"] if key == "value" and isinstance(one.get("name"), str) else str(key)
            for text in texts(value):
                if text != SHOWN and parsed(text) is None:
                    yield name, _decoded(key, text)


def _decoded(key: Any, text: str) -> str:
    """Return the text; a launch template's user data, which is in base64, decoded."""
    if key == "userData":
        try:
            return base64.b64decode(text, validate=True).decode()
        except (binascii.Error, ValueError):
            return text
    return text


def _leaked(text: str, secret_values: frozenset[str]) -> str | None:
    for what, shape in _SHAPES.items():
        if shape.search(text):
            return what
    if secret_values and _any_of(secret_values).search(text):
        return "a value that is marked secret elsewhere"
    return None


@lru_cache(maxsize=8)
def _any_of(values: frozenset[str]) -> re.Pattern[str]:
    return re.compile("|".join(re.escape(value) for value in sorted(values)))


def _looks_secret(key: str, text: str, known: frozenset[str]) -> bool:
    words = tuple(word.lower() for word in _WORDS.findall(key))
    if not words or words[0] == "existing" or not text or text in known or _REFERENCE.match(text):
        return False
    return words[-1] in _SECRET_WORDS or (words[-1] == "key" and bool(_SECRET_KEYS & set(words[-2:-1])))


def _secret_names(plan: Plan) -> frozenset[str]:
    """Return the names of the Kubernetes Secrets: a reference to one is not a leak."""
    names: set[str] = set()
    for resource in plan:
        if resource.type.endswith((":Secret", ":ExternalSecret")):
            names |= {
                name
                for path in (("metadata", "name"), ("spec", "target", "name"))
                for name in texts(at(resource.properties, *path))
            }
    return frozenset(names)


NO_PLAIN_SECRETS = Rule(
    name="no-plain-secrets",
    description="No input or output holds a secret in plain: by its shape (keys, tokens, URLs with a password), by its "
    "name, or because the same value is marked secret elsewhere. Pulumi opens every value for its pack "
    "(https://github.com/pulumi/pulumi-policy/issues/241): there it goes by shape, outside of what holds secrets.",
    check=_no_plain_secrets,
)

SECRET_RULES = (NO_PLAIN_SECRETS,)
