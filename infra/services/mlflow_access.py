"""The login of MLflow's server, which the cluster's and the laptop's share."""

from __future__ import annotations

AUTHORIZATION_FUNCTION = "platform_access:authenticate"
"""What MLflow asks for each request: a module of its image, with the permissions that MLflow does not tell apart."""
