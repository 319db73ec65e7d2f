"""Repositories that a GitOps agent applies: read, changed on a branch, pushed."""
