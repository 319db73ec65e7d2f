"""A Kubernetes API server over HTTPS for each cluster of the twin; driven by official clients."""
