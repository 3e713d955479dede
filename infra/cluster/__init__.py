"""The Kubernetes cluster: its control plane, add-ons, node pools and namespaces."""
