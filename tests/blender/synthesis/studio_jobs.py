"""What the studio photographs, run by worker.py: small pictures of a person and of an avatar."""

from __future__ import annotations

import os
import resource
from pathlib import Path

import bpy
import numpy as np
from palm_hands.engine.datasets.palm_files import Camera
from palm_hands.engine.errors import PalmError
from palm_hands.palm_blender import compat
from palm_hands.palm_blender.synthesis.people import sample_person
from palm_hands.palm_blender.synthesis.poses import load_gesture
from palm_hands.palm_blender.synthesis.recipe import Recipe
from palm_hands.palm_blender.synthesis.shots import Folder, HandPose, Light, Shot, Unit
from palm_hands.palm_blender.synthesis.studio import Studio

SIZE = 128


def cameras() -> dict[str, Camera]:
    """One that looks straight at the hand, and one from its side, slanted, with unequal focal lengths and off-centre."""
    straight = Camera(np.array([[260.0, 0, 64], [0, 260, 64], [0, 0, 1]]), np.eye(4), SIZE, SIZE)
    turn = np.array([[0.6, 0.0, 0.8], [0.0, 1.0, 0.0], [-0.8, 0.0, 0.6]])
    tilt = np.array([[1.0, 0.0, 0.0], [0.0, 0.96, -0.28], [0.0, 0.28, 0.96]])
    aside = np.eye(4)
    aside[:3, :3] = tilt @ turn
    aside[:3, 3] = np.array([0.0, 0.0, 0.5]) - aside[:3, :3] @ np.array([0.0, 0.0, 0.45])
    slanted = Camera(np.array([[300.0, 0, 70.5], [0, 285, 60.2], [0, 0, 1]]), aside, 120, 136)
    return {"straight": straight, "slanted": slanted}


def unit_of(gestures: list, number: int = 0, environment: str = "rig", avatar: str | None = None) -> Unit:
    poses = tuple(
        HandPose(np.array([0.2 * k, 0.15, 1.4]), load_gesture(name), np.array([-0.1, 0.09, 0.45]))
        for k, name in enumerate(gestures)
    )
    person = None if avatar else sample_person(5, number)
    betas = np.zeros(10) if person is None else person.betas
    shots = tuple(
        Shot("folders/0000", frame, camera, Light(environment, 0.4, 1.0), 7 + frame)
        for frame in range(len(poses))
        for camera in cameras()
    )
    folders = {"folders/0000": Folder(cameras(), poses, 6)}
    return Unit("0000", person, Path(avatar) if avatar else None, betas, folders, shots)


def recipe_of(**changes: object) -> Recipe:
    values = {"kind": "cohort", "seed": 5, "units": 1, "frames": 1, "cameras": 1, "width": SIZE, "height": SIZE}
    return Recipe(**{**values, "samples": 2, "texture": 256, **changes})


def photograph(
    work: str, gestures: list, number: int = 0, environment: str = "rig", avatar: str | None = None,
    chosen: list | None = None, **changes: object,
) -> dict:  # fmt: skip
    """Shots of a person or an avatar into WORK/K.npz, with all that they should follow from."""
    recipe = recipe_of(**changes)
    studio = Studio(recipe, "cpu")
    unit = unit_of(gestures, number, environment, avatar)
    studio.load(unit)
    images = studio._hand.images
    texture = {name: _values(getattr(images, name)) for name in ("albedo", "roughness")}
    for k, shot in enumerate(unit.shots):
        if chosen is None or k in chosen:
            pixels = studio.take(unit, shot)
            folder = unit.folders[shot.folder]
            camera, pose = folder.cameras[shot.camera], folder.poses[shot.frame]
            np.savez(
                Path(work) / f"{k}.npz", **pixels._asdict(), **camera._asdict(), **pose._asdict(), betas=unit.betas,
                **{f"{name}_map": values for name, values in texture.items()},
            )  # fmt: skip
    return {"device": studio.device, "denoised": studio.denoised, "levels": recipe.refine_levels()}


def _values(image: bpy.types.Image) -> np.ndarray:
    """[H,W,3] as stored, first row on top."""
    values = np.empty(len(image.pixels), np.float32)
    image.pixels.foreach_get(values)
    width, height = image.size
    return values.reshape(height, width, -1)[::-1, :, :3]


def several_units(work: str) -> dict:
    """Two persons one after the other, then the first again: its pictures must not know of the other."""
    studio = Studio(recipe_of(denoise=False), "cpu")
    pictures, blocks = [], []
    for number in (0, 1, 0):
        unit = unit_of(["victory"], number)
        studio.load(unit)
        pixels = studio.take(unit, unit.shots[1])
        pictures.append({name: value.tobytes().hex() for name, value in pixels._asdict().items()})
        blocks.append([len(getattr(bpy.data, kind)) for kind in ("objects", "meshes", "materials", "images", "scenes")])
    return {
        "repeated": pictures[0] == pictures[2], "other": pictures[0] == pictures[1], "blocks": blocks,
    }  # fmt: skip


def memory(frames: int) -> dict:
    """Resident memory in MiB after each frame of changing poses, cameras and lights."""
    studio = Studio(recipe_of(samples=1, denoise=False), "cpu")
    unit = unit_of(["victory", "ok", "fist"])
    studio.load(unit)
    held = []
    for k in range(frames):
        shot = unit.shots[k % len(unit.shots)]
        studio.take(unit, shot._replace(light=Light("rig", 0.1 * k, 1.0)))
        held.append(int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20)
    return {"held": held, "pid": os.getpid()}


def write_subject(folder: str) -> dict:
    """A person as an avatar folder; then that avatar in the studio, from the same camera."""
    studio = Studio(recipe_of(avatars=True, samples=8), "cpu")
    unit = unit_of(["relaxed"])
    studio.load(unit)
    own = studio.take(unit, unit.shots[0])
    studio.write_avatar(unit, Path(folder))
    again = unit_of(["relaxed"], avatar=folder)
    studio.load(again)
    copy = studio.take(again, again.shots[0])
    both = own.mask & copy.mask
    return {
        "union": float(both.sum() / (own.mask | copy.mask).sum()),
        "depth_mm": float(1000 * np.median(np.abs(own.depth - copy.depth)[both])),
        "albedo": float(np.abs(own.albedo - copy.albedo)[both].mean()),
        "keypoints_mm": float(1000 * np.abs(own.keypoints - copy.keypoints).max()),
        "picture": float(np.abs(own.image[both].astype(float) - copy.image[both]).mean()),
    }


def refusals(environments: list) -> dict:
    """What is said for each environment that cannot be used."""
    studio = Studio(recipe_of(samples=1), "cpu")
    unit = unit_of(["flat"])
    studio.load(unit)
    said = []
    for name in environments:
        try:
            studio.take(unit, unit.shots[0]._replace(light=Light(name, 0.0, 1.0)))
            said.append("")
        except PalmError as error:
            said.append(str(error))
    pixels = studio.take(unit, unit.shots[0])
    return {"said": said, "still": bool(pixels.image.max() > 100)}


def without_denoiser() -> dict:
    """What the studio says where Blender was built without one."""
    from palm_hands.palm_blender import render

    render._choose_denoiser = lambda cycles: False
    studio = Studio(recipe_of(samples=1), "cpu")
    return {"denoised": studio.denoised}


def versions() -> dict:
    return {"version": list(compat.VERSION)}


def lights(work: str, picture: str) -> dict:
    """Mean colours of one shot in a light whose file is deleted after the first, and how many lights are held in the end."""
    studio = Studio(recipe_of(), "cpu")
    own = Path(work) / "light.exr"
    own.write_bytes(Path(picture).read_bytes())
    unit = unit_of(["flat", "fist"], environment=str(own))
    studio.load(unit)
    before = studio.take(unit, unit.shots[0]).radiance
    own.unlink()
    studio.take(unit, unit.shots[2])
    after = studio.take(unit, unit.shots[0]).radiance
    for name in ("rig", "city", "forest", "night", "sunset", "studio"):
        studio.take(unit, unit.shots[0]._replace(light=Light(name, 0.0, 1.0)))
    return {
        "before": before.mean((0, 1)).tolist(),
        "after": after.mean((0, 1)).tolist(),
        "worlds": len(bpy.data.worlds),
    }


def scattering(picture_sides: list) -> list:
    """Whether light spreads in the skin, for pictures of the same view with these sides in pixels."""
    found = []
    for side in picture_sides:
        studio = Studio(recipe_of(), "cpu")
        unit = unit_of(["flat"])
        scaled = {
            name: Camera(np.diag([side / SIZE, side / SIZE, 1]) @ camera.intrinsics, camera.world_to_camera, side, side)
            for name, camera in cameras().items()
        }
        folders = {name: folder._replace(cameras=scaled) for name, folder in unit.folders.items()}
        studio.load(unit._replace(folders=folders))
        (shader,) = (
            node
            for material in bpy.data.materials
            for node in material.node_tree.nodes
            if node.type == "BSDF_PRINCIPLED"
        )
        found.append(shader.inputs["Subsurface Weight"].default_value)
    return found
