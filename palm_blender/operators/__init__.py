"""Operators: thin wrappers that call the building blocks and report one line."""
