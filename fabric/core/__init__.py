"""Retrieval in numbers and rules: recall, operating points, routing, fusing, embedding."""
