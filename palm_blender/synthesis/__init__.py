"""Labelled synthetic data: people, their skin, poses, cameras, lights and passes. Everything but the rendering is NumPy alone."""
