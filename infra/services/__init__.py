"""What users of the platform touch, as Helm releases in the cluster: one service a file."""
