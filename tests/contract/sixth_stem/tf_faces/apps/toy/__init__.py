"""The toy has no program of its own."""

PROGRAMS: dict = {}
