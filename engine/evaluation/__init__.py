"""Metrics, named protocols and reports: every method's avatars judged by the same renderer on the same pictures."""
