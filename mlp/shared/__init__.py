"""Modules that all of `mlp` shares: errors, the checkout, files, the console, progress, a session with AWS."""
