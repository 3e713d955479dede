"""The commands of `python -m workloads`, a module for each thing that they are about."""
