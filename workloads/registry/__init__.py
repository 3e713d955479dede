"""The model registry: versions, their aliases, and the operations on versions."""
