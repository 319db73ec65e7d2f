"""Event simulation of a fleet: what really happens to requests, against which formulas are checked.

Imports nothing of latency, demand or allocation, which it is used to check.
"""
