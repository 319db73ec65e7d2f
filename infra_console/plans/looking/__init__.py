"""What a worker with cluster rights sees for people who have none."""
