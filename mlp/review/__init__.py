"""The review of a plan: changes, cost, capacity, timeline, policy."""
