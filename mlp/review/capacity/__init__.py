"""The capacity check: whether the pods of a plan fit its nodes."""
