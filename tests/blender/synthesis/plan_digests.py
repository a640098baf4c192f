"""Prints a digest of what some recipes photograph, so that interpreters can be compared."""

from __future__ import annotations

import hashlib

import numpy as np
from package_modules import module

plan, png_files, recipes = (module(f"palm_blender.synthesis.{name}") for name in ("plan", "png_files", "recipe"))


def digest_of_plans() -> str:
    ring = recipes.Recipe("cohort", 5, 2, 7, 7, 256, 256, 16, vary_light=True)
    relit = recipes.Recipe("harp-relit", 5, 2, 5, 1, 512, 512, 16, environments=("rig", "studio"))
    digest = hashlib.sha256()
    for recipe, count in ((ring, 2), (relit, 2)):
        for index in range(count):
            unit = plan.build_unit(recipe, index)
            arrays = [unit.betas]
            for folder in unit.folders.values():
                arrays += [part for pose in folder.poses for part in pose]
                arrays += [part for camera in folder.cameras.values() for part in camera[:2]]
            for array in arrays:
                digest.update(png_files.pixel_digest(np.asarray(array)).encode())
            digest.update(repr(unit.shots).encode())
    return digest.hexdigest()


if __name__ == "__main__":
    print(digest_of_plans())  # noqa: T201
