"""Data sets by name, their splits, and the order in which a run sees them."""
