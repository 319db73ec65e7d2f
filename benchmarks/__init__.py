"""Measurements run by hand, each printing JSON: speed never fails a test."""
