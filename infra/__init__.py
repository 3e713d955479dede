"""What exists in AWS and in the cluster: one component a file."""
