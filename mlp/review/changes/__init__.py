"""What a plan changes against an earlier one, and what of it is dangerous."""
