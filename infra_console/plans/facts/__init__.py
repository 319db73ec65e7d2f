"""What a plan relies on in the cluster, and whether it still stands."""
