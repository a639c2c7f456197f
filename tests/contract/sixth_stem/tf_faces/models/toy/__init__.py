"""A straight line."""
