"""What a Kubernetes cluster promises, stated once and held against the twin and real servers."""
