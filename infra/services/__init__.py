"""Services for the users of the platform, as Helm releases in the cluster, one a file."""
