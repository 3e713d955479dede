"""The command `mlp`: plans, prices and checks the platform without an account, and runs it on this machine."""
