"""The network: its subnets, and the entrance from the internet."""
