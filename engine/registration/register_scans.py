"""One subject's scans → shape and poses, in the two stages of PALM's section 3.2.

Stage one: betas shared by a few scans of simple poses, and their poses. Stage two: every scan's pose by itself, betas held.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..capture.fit import fit_frames_alone, fit_frames_together
from ..capture.kinematics import HandState, mano_parameters
from ..capture.start import PALM, flexion_from_bones, rest_keypoints, rigid_rotation
from ..datasets.palm_files import Camera
from ..datasets.scan import Scan, near_hand
from ..errors import DatasetError
from ..hand.joints import KEYPOINT_PARENTS
from ..hand.model import HandModel
from ..progress import Progress, silent
from .pairing import PairingRound, Pairs, PairShares, PreparedScan, SurfaceTables, outline_pairs, scan_pairs
from .scan_energy import RegistrationWeights, ScanEnergy, ScanObservations, ScanPairs

LEAST_KEYPOINTS = 8
START_COARSENESS = (20.0, 5.0, 1.0)
FARTHEST_M = 0.05
"""Between known keypoints and the scan that should show them."""


@dataclass(frozen=True)
class RegistrationConfig:
    """How scans are registered."""

    coarse: tuple[PairingRound, ...] = (
        PairingRound(0.020, 0.0030, 0.3),
        PairingRound(0.012, 0.0020, 0.5),
        PairingRound(0.008, 0.0015, 0.5),
    )
    fine: tuple[PairingRound, ...] = (
        *(PairingRound(0.006, 0.0010, 0.6, True),) * 2,
        *(PairingRound(0.005, 0.0008, 0.7, True),) * 3,
    )
    steps: int = 2
    """Of the solver in a round."""
    simple: int = 6
    """Scans of simple poses that give the shape."""
    keypoint_px: float = 3.0
    """Expected noise of a detected keypoint."""
    keypoint_floor_m: float = 0.001
    """Expected distance of a joint as detectors know it from the model's."""
    shares: PairShares = field(default_factory=PairShares)
    weights: RegistrationWeights = field(default_factory=RegistrationWeights)
    outlines: bool = True
    seed: int = 0


class SeenScan(NamedTuple):
    """One scan and what is known beside it."""

    name: str
    scan: Scan
    keypoints: np.ndarray
    """[21,3] triangulated, NaN where unknown."""
    covariance: np.ndarray
    """[21,3,3] square metres at one pixel of noise."""
    masks: Mapping[str, np.ndarray]
    """{camera: [H,W] bool}, may be empty."""


class RegisteredScan(NamedTuple):
    """One scan's result."""

    parameters: dict[str, np.ndarray]
    """betas [10], global_orient [3], hand_pose [45], transl [3]."""
    vertices: np.ndarray
    """[V,3] metres, world."""
    keypoints: np.ndarray
    """[21,3]"""


class ScanRegistration:
    """Registers scans of one hand model seen by the same cameras."""

    def __init__(self, model: HandModel, cameras: Mapping[str, Camera], config: RegistrationConfig | None = None):
        self.config = config or RegistrationConfig()
        self.model = model.to(dtype=torch.float64)
        self.cameras = cameras
        self.tables = SurfaceTables(self.model)
        self.energy = ScanEnergy(self.model, self.config.weights)

    def check(self, seen: SeenScan) -> None:
        """Raises DatasetError where a scan has too few keypoints to start from, or lies elsewhere than they do."""
        known = np.isfinite(seen.keypoints).all(1)
        if known.sum() < LEAST_KEYPOINTS or known[list(PALM)].sum() < 3:
            raise DatasetError(
                f"{seen.name}: only {known.sum()} of 21 keypoints could be triangulated; detect them in more cameras"
            )
        nearest = PreparedScan(seen.scan, 1, 0).tree.query(seen.keypoints[known])[0]
        if np.median(nearest) > FARTHEST_M:
            raise DatasetError(
                f"{seen.name}: the scan lies {100 * np.median(nearest):.0f} cm from its keypoints; it is another frame's, "
                "or in other axes or units than the cameras"
            )

    def fit_shape(
        self, scans: Sequence[SeenScan], progress: Progress = silent
    ) -> tuple[np.ndarray, list[RegisteredScan]]:
        """Stage one: betas [10] that the scans share, and each scan's result so far. Raises DatasetError, Cancelled."""
        betas = torch.zeros(self.model.num_betas).to(self.model.v_template)
        seen = _stacked([self._observed(scan) for scan in scans])
        state = self._start(scans, betas)
        state = fit_frames_together(self.energy, self._on_keypoints(state, seen), seen, 8)
        rounds = (*self.config.coarse, *self.config.fine)
        prepared = [self._prepared(scan) for scan in scans]
        for number, how in enumerate(rounds):
            progress(number / len(rounds), "shape")
            paired = self._paired(state, seen, scans, prepared, how)
            state = fit_frames_together(self.energy, state, paired, self.config.steps)
        return state.betas.numpy(), self._results(state)

    def fit_pose(self, scan: SeenScan, betas: np.ndarray, progress: Progress = silent) -> RegisteredScan:
        """Stage two: one scan's pose for betas [10]. Raises DatasetError, Cancelled."""
        seen = self._observed(scan)
        state = self._start([scan], torch.as_tensor(betas).to(self.model.v_template))
        state = self._on_keypoints(state, seen)
        rounds = (*self.config.coarse, *self.config.fine)
        prepared = [self._prepared(scan)]
        for number, how in enumerate(rounds):
            progress(number / len(rounds), "pose")
            paired = self._paired(state, seen, [scan], prepared, how)
            state, _ = fit_frames_alone(self.energy, state, paired, self.config.steps)
        return self._results(state)[0]

    def _prepared(self, seen: SeenScan) -> PreparedScan:
        return PreparedScan(near_hand(seen.scan, seen.keypoints), self.config.shares.samples, self.config.seed)

    def _observed(self, seen: SeenScan) -> ScanObservations:
        known = np.isfinite(seen.keypoints).all(1)
        floor = np.eye(3) * self.config.keypoint_floor_m**2
        covariance = np.where(known[:, None, None], seen.covariance, 0.0) * self.config.keypoint_px**2 + floor
        whitening = np.linalg.inv(np.linalg.cholesky(covariance)) * known[:, None, None]
        like = self.model.v_template
        return ScanObservations(
            torch.as_tensor(np.where(known[:, None], seen.keypoints, 0.0)).to(like)[None],
            torch.as_tensor(whitening).to(like)[None],
            links=np.zeros(1),
        )

    def _start(self, scans: Sequence[SeenScan], betas: Tensor) -> HandState:
        """The palm laid on its keypoints, each finger's flexion from its bones; unknown keypoints stay at rest."""
        palm = list(PALM)
        rest = rest_keypoints(self.energy.evaluator, betas, 1)
        states = []
        for scan in scans:
            target = torch.as_tensor(scan.keypoints).to(rest)[None]
            known = [k for k in palm if bool(target[0, k].isfinite().all())]
            rotation = rigid_rotation(rest[:, known], target[:, known])
            shift = target[:, known].mean(1) - (rest[:, known] @ rotation.mT).mean(1)
            laid = rest @ rotation.mT + shift[:, None]
            filled = torch.where(target.isfinite(), target, laid)
            for child, parent in enumerate(KEYPOINT_PARENTS):
                if parent > 0 and not bool(target[0, child].isfinite().all()):
                    filled[0, child] = filled[0, parent] + laid[0, child] - laid[0, parent]
            angles = flexion_from_bones(self.model, rest, (filled - shift[:, None]) @ rotation)
            states.append((rotation, angles, laid[:, 0]))
        rotation, angles, position = (torch.cat(parts) for parts in zip(*states, strict=True))
        return HandState(rotation, angles, position, betas)

    def _on_keypoints(self, state: HandState, seen: ScanObservations) -> HandState:
        """Fit poses to keypoints alone, at first as if these were coarse: a joint that starts far off would count as wrong."""
        for coarseness in START_COARSENESS:
            softened = dataclasses.replace(seen, whitening=seen.whitening / coarseness)
            state, _ = fit_frames_alone(self.energy, state, softened, 12)
        return state

    def _paired(
        self,
        state: HandState,
        seen: ScanObservations,
        scans: Sequence[SeenScan],
        prepared: Sequence[PreparedScan],
        how: PairingRound,
    ) -> ScanObservations:
        vertices, keypoints = self.energy.vertices(state).numpy(), self.energy.keypoints(state).numpy()
        shares = self.config.shares
        found = []
        for index, scan in enumerate(scans):
            pairs = [scan_pairs(vertices[index], self.tables, prepared[index], how, shares)]
            if how.outlines and self.config.outlines and scan.masks:
                own = (vertices[index], keypoints[index], self.tables, scan.masks, self.cameras, how.reach_m, shares)
                pairs.append(outline_pairs(*own))
            found.append(Pairs(*(np.concatenate(parts) for parts in zip(*pairs, strict=True))))
        return ScanObservations(seen.keypoints, seen.whitening, self._tensors(found), seen.links)

    def _tensors(self, found: Sequence[Pairs]) -> ScanPairs:
        """Padded to the longest."""
        longest = max(len(pairs.weights) for pairs in found)
        parts = []
        for name in Pairs._fields:
            padded = []
            for pairs in found:
                value = getattr(pairs, name)
                room = [(0, longest - len(value))] + [(0, 0)] * (value.ndim - 1)
                padded.append(np.pad(value, room, constant_values=1 if name == "sizes" else 0))
            part = torch.as_tensor(np.stack(padded))
            parts.append(part if name == "corners" else part.to(self.model.v_template))
        return ScanPairs(*parts)

    def _results(self, state: HandState) -> list[RegisteredScan]:
        parameters = {name: value.numpy() for name, value in mano_parameters(self.model, state).items()}
        vertices, keypoints = self.energy.vertices(state).numpy(), self.energy.keypoints(state).numpy()
        results = []
        for index in range(len(state.angles)):
            own = {name: value if name == "betas" else value[index] for name, value in parameters.items()}
            results.append(RegisteredScan(own, vertices[index], keypoints[index]))
        return results


def simplest(keypoints: np.ndarray, count: int) -> np.ndarray:
    """Indices [≤count] of the frames whose fingers are straightest, from keypoints [T,21,3]; frames with unknown ones last.

    A finger's straightness is the distance from its root to its tip over the length of its bones.
    """
    reach = []
    for tip in range(16, 21):
        chain = [tip]
        while KEYPOINT_PARENTS[chain[-1]] > 0:
            chain.append(KEYPOINT_PARENTS[chain[-1]])
        points = keypoints[:, chain]
        length = np.linalg.norm(np.diff(points, axis=1), axis=-1).sum(1)
        reach.append(np.linalg.norm(points[:, 0] - points[:, -1], axis=-1) / np.maximum(length, 1e-9))
    straight = np.stack(reach, 1).min(1)
    order = np.argsort(np.where(np.isfinite(straight), -straight, np.inf), kind="stable")
    return np.sort(order[:count])


def _stacked(seen: Sequence[ScanObservations]) -> ScanObservations:
    return ScanObservations(
        torch.cat([one.keypoints for one in seen]),
        torch.cat([one.whitening for one in seen]),
        links=np.zeros(len(seen)),
    )
