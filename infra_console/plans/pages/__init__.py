"""Pages of plans, and what they show."""
