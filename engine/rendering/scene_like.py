"""A scene that answers as another one does, but for what a subclass answers otherwise."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ..hand.deformer import Canonical
from .occupancy import Occupancy
from .scene import Appearance, ImplicitScene, SurfaceSample


@dataclass(frozen=True)
class SceneLike:
    """An `ImplicitScene` whose every answer is `hand`'s."""

    hand: ImplicitScene

    @property
    def root(self) -> Tensor:
        """[B,4,4] root space → world."""
        return self.hand.root

    @property
    def occupancy(self) -> Occupancy:
        """Where the hands can be."""
        return self.hand.occupancy

    def query_sdf(self, points_s: Tensor, hand: Tensor) -> Canonical:
        """As the hand itself."""
        return self.hand.query_sdf(points_s, hand)

    def evaluate(
        self, points_s: Tensor, canonical: Canonical, hand: Tensor, gradient: bool = True, pose_gradient: bool = False
    ) -> SurfaceSample:
        """As the hand itself."""
        return self.hand.evaluate(points_s, canonical, hand, gradient, pose_gradient)

    def density(self, sdf: Tensor) -> Tensor:
        """As the hand itself, 1/m."""
        return self.hand.density(sdf)

    def appearance(self, sample: SurfaceSample, directions_w: Tensor | None, materials: bool) -> Appearance:
        """As the hand itself."""
        return self.hand.appearance(sample, directions_w, materials)
