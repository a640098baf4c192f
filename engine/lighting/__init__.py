"""Light: ambient and one lamp, spherical harmonics, spherical Gaussians, equirectangular environments."""
