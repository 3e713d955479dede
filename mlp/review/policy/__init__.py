"""The platform's rules, applied to a plan."""
