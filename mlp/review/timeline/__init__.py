"""How long a plan takes to bring up."""
