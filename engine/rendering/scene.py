"""What the volume renderer asks of a hand (or of several at once), so that closed forms can stand in for networks."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

from torch import Tensor

if TYPE_CHECKING:
    from ..fields.model import Materials
    from ..hand.deformer import Canonical
    from .occupancy import Occupancy


class SurfaceSample(NamedTuple):
    """The fields at N points. Tensors carry gradients to the fields' parameters unless a line says otherwise."""

    points_c: Tensor
    """[N,3] canonical metres; carries gradients to the pose only where that was asked for."""
    hand: Tensor
    """[N] int64."""
    valid: Tensor
    """[N] bool: the point has a canonical place; where it has none, sdf is large and the rest means nothing."""
    sdf: Tensor
    """[N] metres, negative inside."""
    feature: Tensor
    """[N,F] of the geometry network."""
    gradient_c: Tensor | None
    """[N,3] d sdf / d canonical metres; None where it was not asked for."""
    gradient_s: Tensor | None
    """[N,3] the same turned to root space by the blended bones (PALM's code: not by their inverse transpose)."""
    normals_w: Tensor | None
    """[N,3] unit, world axes."""


class Appearance(NamedTuple):
    """What a surface looks like at N points."""

    radiance: Tensor | None
    """[N,3] linear, towards the viewer."""
    materials: Materials | None


class ImplicitScene(Protocol):
    """B hands given by signed distances."""

    @property
    def root(self) -> Tensor:
        """[B,4,4] root space → world, rigid."""

    @property
    def occupancy(self) -> Occupancy:
        """Where the hands can be, in root space."""

    def query_sdf(self, points_s: Tensor, hand: Tensor) -> Canonical:
        """Canonical places and signed distances of root-space points [N,3] of hands [N]. No gradient."""

    def evaluate(
        self, points_s: Tensor, canonical: Canonical, hand: Tensor, gradient: bool = True, pose_gradient: bool = False
    ) -> SurfaceSample:
        """The geometry at points that `query_sdf` has placed."""

    def density(self, sdf: Tensor) -> Tensor:
        """Volume density of signed distances [N], 1/m."""

    def appearance(self, sample: SurfaceSample, directions_w: Tensor | None, materials: bool) -> Appearance:
        """Radiance along viewing directions [N,3] (unit, away from the camera; None: not wanted), and materials if wanted."""
