"""The commands of `python -m workloads`, a module for each subject."""
