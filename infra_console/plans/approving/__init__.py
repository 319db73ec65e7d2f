"""Proposals, approvals in person and in advance, freezes, and what no quorum may skip."""
