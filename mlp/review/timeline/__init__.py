"""The time that a plan takes to bring up."""
