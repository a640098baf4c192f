"""Developers' tools: environments, the open hand's builder."""
