"""The live window: sliders beside a picture that is dragged to turn it. Drawing is another thread's; it never waits for it."""

from __future__ import annotations

import gc
import math
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from torch import Tensor

from ..errors import InputError, MissingDependencyError
from ..progress import Progress
from .view_frames import Frame, FrameTimes, draw_frame, over, summary
from .view_hand import FLESH_M, HandPose, ViewHand, bones, view_light
from .view_open import OpenedHand
from .view_out import BACKDROP, FRAMES_A_SECOND, outside_line
from .view_quality import FINEST, Quality, next_quality
from .view_scene import DISTANCE_M, Standpoint, camera_at
from .view_sliders import Sliders, slider_pose
from .view_worker import LatestWorker

POLL_MS = 10
STILL_S = 0.2
"""Without a change for so long, the picture is drawn as finely as can be."""
DRAG_RADIANS_PER_PX = 0.008
ZOOM_STEP = 1.1
ZOOM_RANGE = (0.3, 6.0)
KEPT_TIMES = 120
PAUSE_S = 1.0
"""After so long without a picture, frames a second are counted anew."""
SLIDERS = (
    ("thumb", "Thumb bent", -0.3, 1.0),
    ("index", "Index bent", -0.3, 1.0),
    ("middle", "Middle bent", -0.3, 1.0),
    ("ring", "Ring bent", -0.3, 1.0),
    ("pinky", "Little bent", -0.3, 1.0),
    ("spread", "Fingers spread", -1.0, 1.0),
    ("aside", "Thumb aside", -1.0, 1.0),
)


@dataclass(frozen=True)
class ViewState:
    """All that the user can change."""

    sliders: Sliders = Sliders()  # noqa: RUF009  frozen
    azimuth: float = 0.0
    elevation: float = 0.0
    zoom: float = 1.0
    light_degrees: float = 0.0
    neural: bool = False
    resolution: float = 1.0
    """Of the window's picture, when nothing moves."""
    size: tuple[int, int] = (512, 512)
    """(width, height) px on the screen."""
    played: int | None = None
    """Which of the given poses; None: the sliders'."""


class Shown(NamedTuple):
    """A frame and what it was drawn as."""

    frame: Frame
    state: ViewState
    quality: Quality
    moving: bool
    outside: tuple[str, ...]


class Studio:
    """Draws a state; no window is needed."""

    def __init__(self, opened: OpenedHand, poses: Sequence[HandPose] | None):
        self.opened, self.poses = opened, poses
        hand = opened.hand
        # seen from where its picture was taken, held so that it fits while it is turned about
        reach = bones(hand.joints, self.pose(ViewState()))
        self.centre = (reach.amin(0) + reach.amax(0)) / 2
        radius = float((reach - self.centre).norm(dim=1).max()) + FLESH_M
        self.spread = radius / math.sqrt(DISTANCE_M**2 - radius**2)

    def pose(self, state: ViewState) -> HandPose:
        """The state's pose."""
        if state.played is not None and self.poses:
            return self.poses[state.played % len(self.poses)]
        hand, own = self.opened.hand, self.opened.own
        return own._replace(hand_pose=slider_pose(state.sliders, hand.joint_axes, hand.joint_limits))

    def draw(self, state: ViewState, quality: Quality, moving: bool) -> Shown:
        """The state's frame; a coarser quality draws fewer pixels and evaluates fewer vertices."""
        pose, hand = self.pose(state), self.opened.hand
        centre = self._middle(hand, pose) if state.played is not None else self.centre
        width, height = (max(8, round(side * state.resolution * quality.scale)) for side in state.size)
        standpoint = Standpoint(self.opened.facing, state.azimuth, state.elevation, state.zoom)
        camera = camera_at(standpoint, centre, self.spread, (width, height))
        light = view_light(hand.light, math.radians(state.light_degrees), standpoint.up)
        frame = draw_frame(hand, pose, camera, light, state.neural and hand.neural, quality.detail)
        return Shown(frame, state, quality, moving, hand.outside(pose.hand_pose))

    @staticmethod
    def _middle(hand: ViewHand, pose: HandPose) -> Tensor:
        points = bones(hand.joints, pose)
        return (points.amin(0) + points.amax(0)) / 2


class ViewWindow:
    """The window itself. Everything of Tk's happens in the thread that made it."""

    def __init__(self, studio: Studio, state: ViewState, fps: float | None, progress: Progress):
        """Raises MissingDependencyError without tkinter, InputError without a display."""
        try:
            import tkinter as tk
            from tkinter import ttk

            from PIL import ImageTk
        except ImportError as error:
            raise MissingDependencyError(
                "there is no window: this Python has no tkinter (Debian and Ubuntu: apt install python3-tk); or give --out FOLDER"
            ) from error
        self._tk, self._ttk, self._image_tk = tk, ttk, ImageTk
        try:
            self.root: Any = tk.Tk()
        except tk.TclError as error:
            raise InputError(f"there is no window ({error}): set DISPLAY, or write frames with --out FOLDER") from error
        self.studio, self.state, self._progress = studio, state, progress
        self._fps = fps or FRAMES_A_SECOND
        self._worker: LatestWorker[tuple[ViewState, bool], Shown] = LatestWorker(self._draw)
        self._quality = FINEST
        self.times: deque[FrameTimes] = deque(maxlen=KEPT_TIMES)
        self.moving_times: deque[FrameTimes] = deque(maxlen=KEPT_TIMES)
        self.shown: Shown | None = None
        self.frames = 0
        self._changed = 0.0
        self._sharp = True
        self._arrivals: deque[float] = deque(maxlen=20)
        self._failure: BaseException | None = None
        self._playing_since: float | None = None
        self._grip = (0, 0)
        self._running = False
        self._photo: Any = None
        self.picture: Any = None
        self.status: Any = None
        self.neural: Any = None
        self.play: Any = None
        self._build()
        self.change(moving=False)
        self._poll_id: str | None = self.root.after(POLL_MS, self._poll)

    def change(self, moving: bool = True, **values: Any) -> None:
        """The state with other values, drawn next."""
        self.state = replace(self.state, **values)
        self._changed = time.perf_counter()
        self._sharp = not moving
        self._worker.submit((self.state, moving))

    def run(self) -> dict[str, Any]:
        """Show the window until it is closed; returns medians of what was drawn. Raises whatever drawing raised, Cancelled."""
        self._running = True
        self.root.mainloop()
        self._running = False
        self._let_go()
        if self._failure is not None:
            raise self._failure
        return self.report()

    def report(self) -> dict[str, Any]:
        """What was drawn until now."""
        whole = summary(list(self.times)) if self.times else {}
        moving = summary(list(self.moving_times))["frames_per_second"] if self.moving_times else None
        return {
            "count": self.frames,
            "vertices": self.studio.opened.vertices,
            **whole,
            "while_moving_per_second": moving,
        }

    def close(self) -> None:
        """End drawing, and the window."""
        if self._poll_id is not None:
            self.root.after_cancel(self._poll_id)
            self._end()
        if not self._running:
            self._let_go()

    def _let_go(self) -> None:
        """Free all that is Tk's: that may be done only in the thread that made it, and collectors run in any."""
        self._photo = self.status = self.neural = self.play = self.picture = self.root = None
        self.scales.clear()
        gc.collect()

    def _draw(self, request: tuple[ViewState, bool]) -> Shown:
        state, moving = request
        quality = self._quality if moving else FINEST
        shown = self.studio.draw(state, quality, moving)
        # the first picture of all, which is sharp, tells how to begin
        if moving or self.frames == 0:
            self._quality = next_quality(quality, shown.frame.times, self.studio.opened.hand.coarsest)
        return shown

    def _build(self) -> None:
        tk, ttk, root = self._tk, self._ttk, self.root
        root.title("PALM Hands")
        root.protocol("WM_DELETE_WINDOW", self.close)
        root.report_callback_exception = self._fail
        self.status = tk.StringVar(value="drawing the first picture …")
        # two lines whatever they say: a picture that changed its size with them would be drawn again, and say something else
        line = tk.Label(root, textvariable=self.status, anchor="nw", justify="left", height=2, padx=4, pady=2)
        line.pack(side="bottom", fill="x")
        panel = ttk.Frame(root, padding=8)
        panel.pack(side="right", fill="y")
        backdrop = f"#{BACKDROP:02x}{BACKDROP:02x}{BACKDROP:02x}"
        width, height = self.state.size
        self.picture = tk.Canvas(root, width=width, height=height, background=backdrop, highlightthickness=0)
        self.picture.pack(side="left", fill="both", expand=True)
        self._item = self.picture.create_image(0, 0, anchor="nw")
        self.scales: dict[str, Any] = {}
        for name, label, low, high in SLIDERS:
            self._slider(panel, name, label, low, high, 0.0, self._slide)
        self._slider(panel, "light_degrees", "Light turned", -180.0, 180.0, self.state.light_degrees, self._set)
        self._slider(panel, "resolution", "Resolution", 0.25, 1.0, self.state.resolution, self._set)
        if self.studio.opened.hand.neural:
            self.neural = tk.BooleanVar(value=self.state.neural)
            check = ttk.Checkbutton(panel, text="Neural renderer", variable=self.neural, command=self._switch_neural)
            check.pack(anchor="w", pady=4)
        if self.studio.poses:
            self.play = tk.BooleanVar(value=False)
            ttk.Checkbutton(panel, text="Play poses", variable=self.play, command=self._switch_play).pack(anchor="w")
            self.play.set(True)
            self._switch_play()
        ttk.Button(panel, text="Flat hand, front", command=self.reset).pack(fill="x", pady=8)
        ttk.Label(panel, text="Drag: turn    wheel: zoom").pack(anchor="w")
        root.update_idletasks()
        root.geometry(f"{root.winfo_reqwidth()}x{root.winfo_reqheight()}")
        self._bind()

    def _slider(self, panel: Any, name: str, label: str, low: float, high: float, start: float, call: Any) -> None:
        self._ttk.Label(panel, text=label).pack(anchor="w")
        scale = self._ttk.Scale(panel, from_=low, to=high, length=190, value=start)
        scale.configure(command=lambda value: call(name, float(value)))
        scale.pack(fill="x")
        self.scales[name] = scale

    def _bind(self) -> None:
        picture = self.picture
        picture.bind("<ButtonPress-1>", lambda event: setattr(self, "_grip", (event.x, event.y)))
        picture.bind("<B1-Motion>", self._drag)
        picture.bind("<Configure>", lambda event: self._resize(event.width, event.height))
        # X11 has buttons for the wheel, Windows and macOS an event of its own
        picture.bind("<Button-4>", lambda _: self._zoom(1))
        picture.bind("<Button-5>", lambda _: self._zoom(-1))
        picture.bind("<MouseWheel>", lambda event: self._zoom(1 if event.delta > 0 else -1))

    def _slide(self, name: str, value: float) -> None:
        if self.play is not None and self.play.get():
            self.play.set(False)
            self._switch_play()
        self.change(sliders=replace(self.state.sliders, **{name: value}))

    def _set(self, name: str, value: float) -> None:
        values: dict[str, Any] = {name: value}
        self.change(**values)

    def _switch_neural(self) -> None:
        self.change(moving=False, neural=self.neural.get())

    def _switch_play(self) -> None:
        self._playing_since = time.perf_counter() if self.play.get() else None
        self.change(played=0 if self.play.get() else None)

    def _drag(self, event: Any) -> None:
        x, y = self._grip
        self._grip = (event.x, event.y)
        elevation = self.state.elevation + DRAG_RADIANS_PER_PX * (event.y - y)
        # the hand follows the pointer, so the camera goes the other way
        self.change(
            azimuth=self.state.azimuth - DRAG_RADIANS_PER_PX * (event.x - x),
            elevation=min(max(elevation, -math.pi / 2), math.pi / 2),
        )

    def _zoom(self, steps: int) -> None:
        low, high = ZOOM_RANGE
        self.change(zoom=min(max(self.state.zoom * ZOOM_STEP**steps, low), high))

    def _resize(self, width: int, height: int) -> None:
        if (width, height) != self.state.size and min(width, height) > 1:
            self.change(size=(width, height))

    def reset(self) -> None:
        """Flat hand, seen from the front."""
        for name, *_ in SLIDERS:
            self.scales[name].configure(value=0.0)
        self.change(moving=False, sliders=Sliders(), azimuth=0.0, elevation=0.0, zoom=1.0)

    def _poll(self) -> None:
        self._poll_id = None
        self._progress(0.0, "")
        shown = self._worker.take()
        if shown is not None:
            self._show(shown)
        if self._playing_since is not None and self.studio.poses and self._worker.idle:
            place = int((time.perf_counter() - self._playing_since) * self._fps) % len(self.studio.poses)
            self.change(played=place)
        elif not self._sharp and time.perf_counter() - self._changed > STILL_S and self._worker.idle:
            self._sharp = True
            self._worker.submit((self.state, False))
        self._poll_id = self.root.after(POLL_MS, self._poll)

    def _show(self, shown: Shown) -> None:
        from PIL import Image

        self.shown, self.frames = shown, self.frames + 1
        (self.moving_times if shown.moving else self.times).append(shown.frame.times)
        now = time.perf_counter()
        if self._arrivals and now - self._arrivals[-1] > PAUSE_S:
            self._arrivals.clear()
        self._arrivals.append(now)
        picture = Image.fromarray(over(shown.frame.pixels, BACKDROP))
        drawn = picture.size
        if drawn != self.state.size:
            picture = picture.resize(self.state.size, Image.Resampling.BILINEAR)
        self._photo = self._image_tk.PhotoImage(picture, master=self.root)
        self.picture.itemconfigure(self._item, image=self._photo)
        self.status.set(self._status(shown, drawn))

    def _status(self, shown: Shown, drawn: tuple[int, int]) -> str:
        times = shown.frame.times
        words = f"{drawn[0]}×{drawn[1]}: mesh {1000 * times.mesh:.0f} ms, picture {1000 * times.picture:.0f} ms"
        span = self._arrivals[-1] - self._arrivals[0]
        if shown.moving and span > 0 and len(self._arrivals) > 1:
            words += f", {(len(self._arrivals) - 1) / span:.0f} frames/s"
        return words + (f"\n{outside_line(shown.outside)}" if shown.outside else "")

    def _fail(self, kind: type[BaseException], error: BaseException, trace: Any) -> None:
        """Whatever goes wrong in Tk's calls ends the window and is raised by `run`."""
        self._failure = error
        self.root.after_idle(self._end)

    def _end(self) -> None:
        self._poll_id = None
        self._worker.close()
        self.root.destroy()


def show(
    opened: OpenedHand,
    poses: Sequence[HandPose] | None,
    fps: float | None,
    size: tuple[int, int],
    neural: bool,
    progress: Progress,
) -> dict[str, Any]:
    """Open the window and wait until it is closed. Raises MissingDependencyError, InputError, Cancelled."""
    state = ViewState(size=size, neural=neural)
    return ViewWindow(Studio(opened, poses), state, fps, progress).run()
