"""PALM Hands engine: photo or video in, rigged hand avatar out.

Importing this package imports neither torch nor bpy; each sub-module names what it needs.
"""

__version__ = "0.1.0"
