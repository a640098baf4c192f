"""PALM Hands: one photo of a hand to a rigged, relightable avatar. This folder is the Blender extension's package."""

from .palm_blender import register, unregister

__all__ = ("register", "unregister")
