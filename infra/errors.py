"""Faults in what people give the programs."""

from __future__ import annotations

import pulumi


class InputError(pulumi.RunError, ValueError):
    """A fault in a setting, an argument or a file, told in one message, which Pulumi prints without a traceback."""
