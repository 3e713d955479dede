"""The model registry: versions, the aliases by which people know them, and what is done with a version."""
