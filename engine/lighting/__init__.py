"""Light: lamps, spherical harmonics and Gaussians, environments and how they are sampled; what skin reflects of it."""
