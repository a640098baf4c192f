"""Training of the learned prior."""
