"""Roles, and the IAM documents of their rights."""
