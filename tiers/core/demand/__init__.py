"""Demand: from requests, queues and gangs to GPUs needed, and the supply that stands beside it."""
