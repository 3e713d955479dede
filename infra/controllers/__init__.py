"""Controllers that the cluster needs first: load balancers, node scaling, secrets."""
