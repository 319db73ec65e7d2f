"""The simulated fleet, seen at its two faces only: metrics over HTTP and Kubernetes APIs over HTTPS."""
