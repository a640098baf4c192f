"""A whole training of a prior, from data to the prior's folder: pre-training, stages, checkpoints, metrics, previews."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from ..avatar.texture_files import write_png8
from ..datasets.palm import PalmFrame
from ..errors import Cancelled, PalmError
from ..fields.bands import Bands, all_bands, bands_at
from ..fields.model import PalmFields
from ..hand.loop_model import loop_model
from ..hand.model import HandModel
from ..hand.subdivide import smooth_template, subdivide_model
from ..lighting.sg_light import fibonacci_sg_light
from ..progress import Progress, silent, sub_progress
from ..rendering.implicit_hand import ImplicitHand
from ..rendering.occupancy import Occupancy
from .batch import gather_rays
from .config import TrainConfig
from .distributed import Processes, anyone, sum_gradients, sum_scalars
from .energy import step_energy, term_names
from .evaluate import FrameRender, frame_metrics, mean_metrics, render_frame
from .frames import Bodies, FrameStore
from .known_geometry import KnownGeometry, fit_geometry, known_geometry
from .known_surface import KnownSurface, fit_surface, known_surface
from .metrics_file import MetricsFile
from .optimiser import enter_stage, make_optimiser, take_step
from .perceptual import PerceptualTerm, perceptual_term
from .pretrain import PretrainPool, pretraining_pool, run_pretraining
from .preview import preview_sheet
from .sampling import frames_at
from .schedules import PAPER_STEPS, paper_step, stage_at

PRETRAINING_SHARE = 0.1
"""Of the progress bar."""
PREVIEW_FRAMES = 3
UNSOUND_STEPS = 10
"""Steps without a finite gradient in a row, after which a training gives up. Such steps move nothing."""


class TrainingError(PalmError):
    """A training cannot go on."""


@dataclass
class Run:
    """What changes while a prior is trained."""

    fields: PalmFields
    light: Tensor
    """[K,7] spherical-Gaussian parameters."""
    optimiser: torch.optim.Adam
    step: int
    """Steps done."""


@dataclass(frozen=True)
class Setting:
    """What stays the same."""

    config: TrainConfig
    subjects: tuple[str, ...]
    training: FrameStore
    validation: FrameStore
    bodies: Bodies
    perceptual: PerceptualTerm
    surface: HandModel
    """As fine as distances and known surfaces are."""
    pool: PretrainPool
    """Distances to the hand model."""
    known: KnownSurface | None
    """Skin that the data set knows, where the configuration uses it."""
    processes: Processes
    device: torch.device


def make_setting(
    config: TrainConfig,
    hand: HandModel,
    training: Sequence[PalmFrame],
    validation: Sequence[PalmFrame],
    processes: Processes,
    device: torch.device,
    progress: Progress = silent,
) -> Setting:
    """hand: not subdivided."""
    model = subdivide_model(hand, config.subdivision)
    model = (smooth_template(model) if config.smooth_template else model).to(device)
    surface = loop_model(hand, config.subdivision).to(device) if config.loop_surface else model
    margin = config.pixels.box_margin_px
    subjects = tuple(sorted({frame.subject for frame in training}))
    pool = pretraining_pool(training, subjects, surface, config.pretrain, config.seed, sub_progress(progress, 0.0, 0.5))
    known = None
    if config.known.steps:
        looking = sub_progress(progress, 0.5, 1.0)
        known = known_surface(training, subjects, surface, config.known, config.seed, looking)
    return Setting(
        config,
        subjects,
        FrameStore(tuple(training), margin),
        FrameStore(tuple(validation), margin),
        Bodies(model, config.fields.box),
        perceptual_term(config.vgg16_weights, config.lpips_weights),
        surface,
        pool,
        known,
        processes,
        device,
    )


def new_run(setting: Setting) -> Run:
    """Freshly initialised, the same in every process."""
    config = setting.config
    torch.manual_seed(config.seed)  # modules initialise themselves from torch's own generator
    fields = PalmFields(config.fields, setting.subjects).to(setting.device)
    fields.use_grid_backend(config.grid_backend)
    light = fibonacci_sg_light(config.light_lobes, torch.Generator().manual_seed(config.seed)).to(setting.device)
    light.requires_grad_(True)
    return Run(fields, light, make_optimiser(fields, light, config.rates), 0)


def pretrain(setting: Setting, run: Run, progress: Progress) -> float:
    """Geometry from the hand model; returns the mean absolute error in metres. Every process does the same."""
    config = setting.config

    def bands(share: float) -> Bands:
        return bands_at(round(share * PAPER_STEPS), config.fields, geometry_open=True, device=setting.device)

    return run_pretraining(run.fields, setting.pool, bands, config.pretrain, config.seed, progress)


def fit_known_surface(setting: Setting, run: Run, progress: Progress) -> dict[str, float]:
    """Skin at known points, on the pre-trained geometry; returns the mean errors. Every process does the same."""
    if setting.known is None:
        return {}
    bands = all_bands(setting.config.fields, setting.device)
    return fit_surface(run.fields, setting.known, bands, setting.config.known, setting.config.seed, progress)


def fit_known_again(setting: Setting, run: Run, progress: Progress) -> dict[str, float]:
    """After the last step: the geometry against known surfaces, then the skin on it, gently; returns the mean errors.

    The last step is saved; these fits are not, and begin anew where a training goes on. Raises Cancelled, which says so.
    """
    try:
        return _fit_known_again(setting, run, progress)
    except Cancelled as error:
        raise Cancelled(
            f"stopped in the last fits, after step {run.step}, which is saved: go on with --resume, which begins them anew"
        ) from error


def _fit_known_again(setting: Setting, run: Run, progress: Progress) -> dict[str, float]:
    config = setting.config
    bands = all_bands(config.fields, setting.device)
    found: dict[str, float] = {}
    if config.last_geometry.steps:
        terms = fit_geometry(
            run.fields,
            setting.pool,
            known_surfaces(setting),
            bands,
            config.last_geometry,
            config.seed,
            sub_progress(progress, 0.0, 0.5),
        )
        found |= {f"geometry_{name}": value for name, value in terms.items()}
    gentle = replace(config.known, steps=config.known.last_steps, rate=config.known.last_rate)
    if setting.known is not None and gentle.steps:
        here = sub_progress(progress, 0.5, 1.0)
        found |= fit_surface(run.fields, setting.known, bands, gentle, config.seed, here)
    return found


def known_surfaces(setting: Setting) -> KnownGeometry:
    """Surface points and normals of every pose that geometry was pre-trained on."""
    betas = {frame.subject: frame.betas for frame in setting.training.frames}
    config = setting.config
    return known_geometry(setting.pool, setting.subjects, betas, setting.surface, config.last_geometry, config.seed)


def open_bands(setting: Setting, step: int) -> Bands:
    """The bands at a step: coarse to fine, or all where the skin was fitted first and closing them would undo it."""
    config = setting.config
    if setting.known is not None:
        return all_bands(config.fields, setting.device)
    return bands_at(paper_step(step, config.schedule), config.fields, geometry_open=True, device=setting.device)


def train_step(setting: Setting, run: Run) -> dict[str, float]:
    """One optimiser step; returns its terms and the gradient's norm."""
    config = setting.config
    terms = gather_gradients(setting, run)
    norm = take_step(run.optimiser, run.step, config.schedule, config.rates, config.rates.gradient_clip)
    run.step += 1
    return terms | {"gradient_norm": norm}


def gather_gradients(setting: Setting, run: Run) -> dict[str, float]:
    """The whole batch's gradients into every process's parameters; returns the whole batch's terms."""
    config, step, frames = setting.config, run.step, setting.training.frames
    mine, upcoming = (
        setting.processes.share(frames_at(at, len(frames), config.images_per_step, config.seed))
        for at in (step, step + 1)
    )
    setting.training.prefetch(index for _, index in upcoming)
    stage = stage_at(step, config.schedule)
    enter_stage(run.fields, run.light, stage, known_materials=setting.known is not None)
    terms: dict[str, float] = {}
    if mine:
        batch = gather_rays(
            setting.training, mine, config.images_per_step, config.pixels, config.seed, step, setting.device
        )
        scene = make_scene(setting, run, [frames[index] for _, index in mine])
        energy = step_energy(
            scene, batch, run.light, stage, step, config, setting.perceptual, setting.pool, setting.known
        )
        energy.total.backward()
        terms = energy.terms | {"total": float(energy.total.detach())}
    parameters = [parameter for group in run.optimiser.param_groups for parameter in group["params"]]
    sum_gradients(parameters, setting.processes)
    return sum_scalars(terms, setting.processes, term_names(config, stage))


def make_scene(setting: Setting, run: Run, frames: Sequence[PalmFrame]) -> ImplicitHand:
    """The hands of some frames as the fields have them now."""
    config = setting.config
    bodies = [setting.bodies.body(frame, config.render.band_m) for frame in frames]
    subjects = torch.tensor([run.fields.subject_index(frame.subject) for frame in frames], device=setting.device)
    poses = torch.stack([torch.as_tensor(frame.hand_pose, dtype=torch.float32) for frame in frames]).to(setting.device)
    return ImplicitHand(
        run.fields,
        setting.bodies.deformer(frames, bodies),
        run.fields.conditions(subjects, poses),
        open_bands(setting, run.step),
        torch.cat([body.root for body in bodies]),
        Occupancy(*(torch.cat(values) for values in zip(*(body.occupancy for body in bodies), strict=True))),
    )


def render_frames(
    setting: Setting, run: Run, store: FrameStore, indices: Sequence[int], progress: Progress
) -> Iterator[FrameRender]:
    """Frames of a store as the fields render them now, one at a time: a large one takes some 200 MB.

    Physically too once that is being learned.
    """
    physical = stage_at(run.step - 1, setting.config.schedule).physical
    for place, index in enumerate(indices):
        progress(place / len(indices), f"rendering held-out frame {place + 1} of {len(indices)}")
        frame = store.frames[index]
        with torch.no_grad():
            scene = make_scene(setting, run, [frame])
        light = run.light.detach() if physical else None
        yield render_frame(scene, frame, store.get(index), light, setting.config.render)


def validate(setting: Setting, run: Run, progress: Progress) -> dict[str, float]:
    """Mean metrics over all held-out frames."""
    store = setting.validation
    renders = render_frames(setting, run, store, range(len(store.frames)), progress)
    return mean_metrics([frame_metrics(render) for render in renders])


def write_preview(setting: Setting, run: Run, folder: Path, progress: Progress) -> Path:
    """The sheet of a few held-out frames (training frames where nothing is held out)."""
    store = setting.validation if setting.validation.frames else setting.training
    count = min(PREVIEW_FRAMES, len(store.frames))
    # one further each time, so that cameras differ too
    indices = [(len(store.frames) * place // count + place) % len(store.frames) for place in range(count)]
    path = folder / f"{run.step:06d}.png"
    write_png8(path, preview_sheet(list(render_frames(setting, run, store, indices, progress))))
    return path


def train(setting: Setting, run: Run, output: Path, save: Callable[[], None], progress: Progress) -> dict[str, float]:
    """All steps from where the run stands; returns the last validation's metrics.

    output: the prior's folder, which exists. save(): writes a checkpoint. A cancel saves one and raises Cancelled; so does an
    error that is nobody's defect (a full disk, a picture gone, a lost process) where it still can.
    """
    metrics = MetricsFile(output / "metrics.jsonl", run.step, enabled=setting.processes.leads)
    saved_at, unsound = run.step, 0
    found: dict[str, float] | None = None

    def save_once() -> None:
        nonlocal saved_at
        if saved_at != run.step:
            save()
            saved_at = run.step

    total = setting.config.schedule.total_steps
    try:
        while run.step < total:
            title = stage_at(run.step, setting.config.schedule).title
            terms = train_step(setting, run)
            unsound = 0 if math.isfinite(terms["gradient_norm"]) else unsound + 1
            if unsound == UNSOUND_STEPS:
                raise diverged(run)
            last = run.step == total
            if last or run.step % setting.config.checkpoint_every == 0:
                save_once()  # before what takes long
            found, preview = look(setting, run, output)
            metrics.write(run.step, terms | {f"held_out_{name}": value for name, value in (found or {}).items()})
            if stopped(progress, run, total, title, preview, setting.processes):
                save_once()
                raise Cancelled(f"stopped after step {run.step} of {total}, which is saved: go on with --resume")
    except Cancelled:
        raise
    except (PalmError, OSError):
        with contextlib.suppress(PalmError, OSError):
            save_once()
        raise
    if found is None and setting.processes.leads and setting.validation.frames:  # stopped after the last step
        found = validate(setting, run, silent)
    return found or {}


def look(setting: Setting, run: Run, output: Path) -> tuple[dict[str, float] | None, Path | None]:
    """Held-out metrics and a preview, where a step asks for them and this process leads."""
    config = setting.config
    last = run.step == config.schedule.total_steps
    found, preview = None, None
    if setting.processes.leads:
        if setting.validation.frames and (last or run.step % config.validate_every == 0):
            found = validate(setting, run, silent)
        if last or run.step % config.preview_every == 0:
            preview = write_preview(setting, run, output / "previews", silent)
    return found, preview


def diverged(run: Run) -> TrainingError:
    """The error of a run whose energy is no number any more."""
    return TrainingError(
        f"the last {UNSOUND_STEPS} steps before step {run.step} had gradients that are no numbers and moved nothing:"
        " look at metrics.jsonl and the data, then start anew with another --seed"
    )


def stopped(progress: Progress, run: Run, total: int, title: str, preview: Path | None, processes: Processes) -> bool:
    """Report progress; whether any process was told to stop."""
    stop = False
    try:
        progress(run.step / total, f"step {run.step} of {total}: {title}", preview=preview)
    except Cancelled:
        stop = True
    return anyone(stop, processes)
