"""Whether the pods of a plan fit its nodes."""
