"""The simulated fleet, seen at its two faces: metrics over HTTP, Kubernetes APIs over HTTPS."""
