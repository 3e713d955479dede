"""What is said of a plan: changes, cost, capacity, timeline, policy."""
