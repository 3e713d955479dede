"""The changes of a plan against an earlier one, and which of them are dangerous."""
