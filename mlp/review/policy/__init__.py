"""The platform's rules, asked of a plan."""
