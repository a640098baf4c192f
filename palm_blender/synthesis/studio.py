"""The studio: one hand in front of one camera in one light, photographed again and again by one Blender process."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import bpy
import numpy as np

from ...engine.avatar.folder import AvatarMesh, read_avatar
from ...engine.datasets.palm_files import Camera
from ...engine.hand.loop_refinement import refined_fields
from ...engine.hand.model_file import read_model_file
from .. import cameras, compat, lighting, materials, render
from .. import scene as scenes
from . import environments, passes, windows
from .display import Picture, srgb_decoded, to_display
from .fine_hand import FineHand, fine_hand
from .hand_shape import OPEN_HAND, load_hand_shape
from .living_hand import LivingHand
from .posed_hand import AvatarHand, PersonHand, PosedHand, fingertips
from .posed_mesh import shaped_mesh
from .recipe import Recipe
from .shots import FramePixels, Light, Shot, ShotId, Unit
from .skin_maps import SkinMaps, moving_maps, skin_maps
from .skin_patterns import skin_model
from .skin_regions import hand_surface
from .subject_folder import turned_light, write_subject

LIGHTS_KEPT = 4
"""Environments held ready at a time; a large one takes hundreds of megabytes."""

SCATTERING_SEEN_M = 1e-3
"""Pixels that cover more skin than this do not show how light spreads in it (a mean free path is 0.8 mm), which takes half of the
time: the picture differs by less than its noise at 16 samples."""

SCATTERING_SEEN_IN_MOTION_M = 3e-4
"""The same of sequences, which have a thousand pictures a person, where it takes two thirds of the time."""


class Studio:
    """Owns Blender's open file: one per process. Unsaved work is discarded.

    device: what Cycles really renders on, in words; denoised: whether pictures are; seconds: time spent by stage.
    """

    def __init__(self, recipe: Recipe, device: str = "auto"):
        """device: as `render.choose_device` takes it. Raises InputError for one that is not there."""
        self.recipe = recipe
        self.seconds: dict[str, float] = {}
        self._temporary = tempfile.TemporaryDirectory(prefix="palm-studio-")
        self._scene = scenes.empty_scene()
        self.denoised = _set_up(self._scene, recipe)
        self.device = render.choose_device(self._scene, device)
        self._camera = cameras.add_camera("camera", np.diag([1e3, 1e3, 1]), np.eye(4), (2, 2), self._scene.collection)
        self._worlds: dict[str, bpy.types.World] = {}
        self._fields = read_model_file(OPEN_HAND)
        self._refined: dict[str, np.ndarray] | None = None
        self._hand: PosedHand | None = None
        self.fine: FineHand | None = None
        self._labels: bpy.types.Scene | None = None
        self._posed: tuple[str, int] | None = None
        self._moment: dict[ShotId, tuple[passes.Labels, Picture]] = {}
        self._lit: Light | None = None
        self._framed: dict[str, tuple[tuple[int, int], float]] = {}
        self._keypoints = np.zeros((21, 3))
        self._maps: SkinMaps | None = None

    def load(self, unit: Unit) -> None:
        """Build the unit's hand in place of the one before. Raises PalmError."""
        with self._timed("hand"):
            self._clear()
            self._hand = self._build_hand(unit)
            seen = SCATTERING_SEEN_M if self.fine is None else SCATTERING_SEEN_IN_MOTION_M
            materials.set_subsurface(self._hand.material, finest_pixel(unit, self._hand.wrist) < seen)
            self._labels = passes.label_scene(self._hand.collection, self._camera)
            own = self._scene.render
            self._labels.render.threads_mode, self._labels.render.threads = own.threads_mode, own.threads
            self._labels.view_layers[0].material_override = self._hand.label_material()
            self._posed = None

    def take(self, unit: Unit, shot: Shot) -> FramePixels:
        """One shot of the unit that was loaded last. Raises PalmError."""
        if self._hand is None or self._labels is None:
            raise ValueError("no hand is loaded")
        folder = unit.folders[shot.folder]
        camera = folder.cameras[shot.camera]
        with self._timed("pose"):
            if self._posed != (shot.folder, shot.frame):
                self._keypoints = self._hand.pose(folder.poses[shot.frame])
                self._posed = (shot.folder, shot.frame)
            self._light(shot.light)
            _change(self._scene.cycles, "seed", shot.seed % (1 << 31))
        if self.fine is not None and self._scene.render.film_transparent:
            labels, picture = self._with_its_moment(unit, shot)
        else:
            labels, picture = self._by_itself(camera)
        with self._timed("encoding"):
            image = to_display(picture, self.recipe.background)
        return FramePixels(image, picture.radiance, *labels, self._keypoints.copy())

    def _by_itself(self, camera: Camera) -> tuple[passes.Labels, Picture]:
        """The hand as it is posed, seen by one camera."""
        self._aim(self._labels, camera)
        with self._timed("labels"):
            labels = passes.read_labels(self._render(self._labels), camera.world_to_camera)
        with self._timed("picture"):
            self._aim(self._scene, camera)
            passes.set_border(self._scene, labels.mask if self._scene.render.film_transparent else None)
            return labels, passes.read_picture(self._render(self._scene))

    def _with_its_moment(self, unit: Unit, shot: Shot) -> tuple[passes.Labels, Picture]:
        """The same, together with the moment's other cameras: labels of all first, then pictures by their size.

        Cycles keeps the hand as long as the scene and its settings stay the same; taking it in anew takes longer than a
        picture.
        """
        if shot.id not in self._moment:
            names = windows.batch(unit.folders[shot.folder].cameras, shot.camera)
            chosen = {name: unit.folders[shot.folder].cameras[name] for name in names}
            self._moment = {}
            labels = {}
            with self._timed("labels"):
                for name, camera in chosen.items():
                    self._aim(self._labels, camera)
                    labels[name] = passes.read_labels(self._render(self._labels), camera.world_to_camera)
            with self._timed("picture"):
                for name, part in windows.by_size(self._hand.vertices, chosen).items():
                    self._aim(self._scene, windows.seen_through(part, chosen[name]))
                    picture = passes.read_picture(self._render(self._scene))
                    whole = windows.whole(picture, part, chosen[name])
                    self._moment[shot.id._replace(camera=name)] = (labels[name], whole)
        return self._moment.pop(shot.id)

    def write_avatar(self, unit: Unit, folder: Path) -> None:
        """The unit that was loaded last as FOLDER (.palmhand), captured in its first shot, in place of a damaged one.

        Raises ValueError where the recipe asks for no avatars or the unit is no synthetic person; OutputError.
        """
        if self._maps is None or unit.person is None:
            raise ValueError("only synthetic persons of a recipe with avatars are written as such")
        shot = unit.shots[0]
        pixels = self.take(unit, shot)
        light = turned_light(self._radiance(shot.light.environment), shot.light.rotation, shot.light.strength)
        mesh = self._rest_mesh(unit)
        write_subject(folder, unit, shot, pixels, mesh, self._maps, light)

    def _radiance(self, environment: str) -> np.ndarray:
        """[H,W,3] linear, first row on top, of an environment that lights a shot already."""
        image = world_image(self._worlds[environment])
        values = np.empty(len(image.pixels), np.float32)
        image.pixels.foreach_get(values)
        width, height = image.size
        picture = values.reshape(height, width, -1)[::-1, :, :3]
        return picture if image.is_float else srgb_decoded(picture)

    def _render(self, scene: bpy.types.Scene) -> dict[str, np.ndarray]:
        return passes.render_layers(scene, Path(self._temporary.name) / f"{scene.name}.exr")

    def _build_hand(self, unit: Unit) -> PosedHand:
        if unit.person is None:
            source = read_avatar(unit.avatar)
            tips = fingertips(source.mesh, self._fields, source.betas, source.handedness)
            return AvatarHand(source, tips, unit.name, self._scene)
        if self.recipe.kind == "sequence":
            with self._timed("maps"):
                return self._living_hand(unit)
        with self._timed("maps"):
            maps = skin_maps(hand_surface(self._fields), unit.person.skin, self.recipe.texture_px())
        # Blender has its own copy: large maps are kept only where they are written
        self._maps = maps if self.recipe.avatars else None
        return PersonHand(self._rest_mesh(unit), self._fields["tip_vertices"], maps, unit.name, self._scene)

    def _rest_mesh(self, unit: Unit) -> AvatarMesh:
        if self._refined is None:
            self._refined = refined_fields(self._fields, self.recipe.refine_levels())
        return shaped_mesh(self._refined, np.asarray(unit.betas, float))

    def _living_hand(self, unit: Unit) -> LivingHand:
        skin = skin_model(hand_surface(self._fields), unit.person.skin)
        betas = np.asarray(unit.betas, float)
        self.fine = fine_hand(self._fields, load_hand_shape(betas), betas, skin, self.recipe.refine_levels())
        return LivingHand(self.fine, moving_maps(skin, self.recipe.texture_px()), unit.name, self._scene)

    def _clear(self) -> None:
        """Remove the hand that was there with all that came with it."""
        if self._labels is not None:
            bpy.data.scenes.remove(self._labels)
        kept = {self._scene, self._camera, self._camera.data, *self._worlds.values()}
        kept |= {world_image(world) for world in self._worlds.values()}
        kinds = (
            bpy.data.objects, bpy.data.meshes, bpy.data.armatures, bpy.data.materials, bpy.data.images,
            bpy.data.collections, bpy.data.actions,
        )  # fmt: skip
        bpy.data.batch_remove({block for kind in kinds for block in kind} - kept)
        self._hand = self._labels = self._posed = self.fine = None
        self._moment = {}
        self._framed.clear()

    def _aim(self, scene: bpy.types.Scene, camera: Camera) -> None:
        size = (camera.width, camera.height)
        cameras.aim_camera(self._camera, camera.intrinsics, camera.world_to_camera, size)
        aspect = self._camera["palm_pixel_aspect_y"]
        if self._framed.get(scene.name) != (size, aspect):
            cameras.frame_scene(scene, self._camera, size, None)
            self._framed[scene.name] = (size, aspect)

    def _light(self, light: Light) -> None:
        if light == self._lit:
            return
        self._lit = light
        world = self._worlds.get(light.environment)
        if world is None:
            self._forget_lights()
            # packed: a file that vanished meanwhile would silently become magenta light
            world = lighting.set_environment(
                self._scene, self.environment_file(light.environment), name=light.environment
            )
            self._worlds[light.environment] = world
        lighting.turn_environment(world, light.rotation, light.strength)
        if self._scene.world != world:
            self._scene.world = world

    def _forget_lights(self) -> None:
        """Bound what is kept where a set draws from many lights."""
        if len(self._worlds) >= LIGHTS_KEPT:
            self._scene.world = None
            bpy.data.batch_remove({*self._worlds.values(), *map(world_image, self._worlds.values())})
            self._worlds.clear()

    def environment_file(self, name: str) -> Path:
        """The picture that an environment is: our rig's, one of Blender's, or the file itself. Raises InputError."""
        if name == environments.RIG:
            path = Path(self._temporary.name) / "rig.exr"
            return path if path.is_file() else environments.write_rig(path)
        path = lighting.find_environment(name)
        environments.check_light_file(path)
        return path

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - start


def _change(settings: bpy.types.bpy_struct, name: str, value: Any) -> None:
    """Set what has another value: setting any makes Cycles take in the whole scene anew, which takes longer than a picture."""
    if getattr(settings, name) != value:
        setattr(settings, name, value)


def finest_pixel(unit: Unit, wrist: np.ndarray) -> float:
    """Metres of skin across the smallest pixel of a unit, all its pictures considered. wrist [3]: the joint at rest."""
    sizes = [np.inf]
    for folder in unit.folders.values():
        places = wrist + np.array([pose.transl for pose in folder.poses])
        for camera in folder.cameras.values():
            depth = places @ camera.world_to_camera[2, :3] + camera.world_to_camera[2, 3]
            sizes.append(float(np.abs(depth).min() / camera.intrinsics[[0, 1], [0, 1]].max()))
    return min(sizes)


def world_image(world: bpy.types.World) -> bpy.types.Image:
    """The picture of a world made by `lighting.set_environment`."""
    (node,) = (node for node in world.node_tree.nodes if node.type == "TEX_ENVIRONMENT")
    return node.image


def _set_up(scene: bpy.types.Scene, recipe: Recipe) -> bool:
    """The picture's settings. Returns whether it will be denoised."""
    denoised = render.use_cycles(scene, recipe.samples, 0, recipe.denoise)
    render.use_photo_colours(scene)
    cycles = scene.cycles
    # A prefilter of the fast kind costs a second less and shows no difference on skin; so few samples leave nothing to adapt.
    cycles.denoising_prefilter, cycles.use_adaptive_sampling = "FAST", False
    cycles.sampling_pattern = "TABULATED_SOBOL"
    scene.render.use_persistent_data = True
    scene.render.film_transparent = recipe.background != "environment"
    scene.view_layers[0].name = passes.LAYER
    compat.set_multilayer_output(scene.render.image_settings)
    return denoised
