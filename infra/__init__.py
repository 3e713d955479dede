"""Components of what exists in AWS and in the cluster, one a file."""
