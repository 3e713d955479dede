"""Facts that AWS and Kubernetes give; nothing here imports anything of the platform."""
