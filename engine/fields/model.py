"""PALM-Net's fields as one module: what a prior is trained for and what is stored of it."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from ..errors import InputError
from .bands import Bands
from .codes import CodeBasis, PrincipalCodes, SubjectCodes
from .conditions import Conditions
from .config import FieldsConfig
from .density import LaplaceDensity
from .geometry import Geometry, GeometrySample
from .hash_grid import check_backend
from .material import Material, Materials
from .pose_encoder import PoseEncoder
from .radiance import Radiance

__all__ = ["Bands", "Conditions", "GeometrySample", "Materials", "PalmFields"]


class PalmFields(nn.Module):
    """Signed distance, density, radiance and material of hands in canonical space (PALM, §3), for some subjects.

    Parameters are grouped by the first part of their names: geometry, density, radiance, material, pose_encoder, shape_code,
    appearance_code. The material reads the radiance's encoding.
    """

    def __init__(
        self,
        config: FieldsConfig,
        subjects: Sequence[str],
        shape_basis: CodeBasis | None = None,
        appearance_basis: CodeBasis | None = None,
    ):
        """subjects: one name or more, each once. A basis [K,32] makes codes coefficients on its axes instead of free."""
        super().__init__()
        if not subjects or len(set(subjects)) != len(subjects):
            raise ValueError("fields need the names of one subject or more, each once")
        self.config = config
        self.subjects = tuple(subjects)
        self.geometry = Geometry(config)
        """(points [N,3] canonical metres, hand [N], conditions, bands, with_gradient) → GeometrySample."""
        self.density = LaplaceDensity(config.initial_density_width)
        """(sdf [*] metres) → [*] 1/metre."""
        self.radiance = Radiance(config)
        """(encoding, feature, directions_w [N,3], normals_w [N,3], hand [N], conditions, bands) → [N,3] linear RGB."""
        self.material = Material(config)
        """(encoding, feature, hand [N], conditions) → Materials."""
        self.pose_encoder = PoseEncoder(config.pose_width)
        self.shape_code = _codes(len(self.subjects), config, shape_basis)
        self.appearance_code = _codes(len(self.subjects), config, appearance_basis)

    def use_grid_backend(self, backend: str) -> None:
        """What both grids are worked out by, from now on: "warp" (at first) or, for fields on CUDA, "tinycudann".

        Features with a Jacobian stay with ours. Raises ValueError for another name, MissingDependencyError
        where it cannot be used.
        """
        for encoding in (self.geometry.encoding, self.radiance.encoding):
            encoding.backend = check_backend(backend, encoding.table.device)

    def subject_index(self, name: str) -> int:
        """Position of a subject among `subjects`; InputError where it is none of them."""
        if name not in self.subjects:
            raise InputError(
                f"subject {name!r} is not one of the {len(self.subjects)} in this prior; choose one of its own"
            )
        return self.subjects.index(name)

    def conditions(self, subject: Tensor, hand_pose: Tensor) -> Conditions:
        """Conditions of B hands. subject [B] int64 into `subjects`; hand_pose [B,45] absolute axis-angle radians."""
        return Conditions(self.pose_encoder(hand_pose), self.shape_code(subject), self.appearance_code(subject))

    def appearance_encoding(self, points: Tensor, bands: Bands) -> Tensor:
        """points [N,3] canonical metres → [N,3+2L], the encoding that radiance and material share."""
        return self.radiance.encoding(points, bands.radiance_levels)

    @property
    def beta(self) -> Tensor:
        """() metres, > 0: the width of the density's shell."""
        return self.density.width


def _codes(subjects: int, config: FieldsConfig, basis: CodeBasis | None) -> SubjectCodes | PrincipalCodes:
    if basis is None:
        return SubjectCodes(subjects, config.code_width)
    if basis.components.ndim != 2 or basis.components.shape[1] != config.code_width:
        raise ValueError(f"a code basis must be [K,{config.code_width}], not {list(basis.components.shape)}")
    return PrincipalCodes(subjects, basis)
