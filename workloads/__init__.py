"""The code that runs in containers: training, search, evaluation and the model registry.

It imports nothing of infra or stacks.
"""
