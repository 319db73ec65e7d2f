"""Measurements that are run by hand and print JSON; `docs/` says what came out."""
