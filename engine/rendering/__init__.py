"""Mesh rendering: visibility by Warp kernels, everything that carries gradients in torch."""
