"""The multi-resolution hash grid (Müller et al. 2022) with its spatial Jacobian, differentiable in table and points.

The Jacobian is an output like the features: an expression of both, such as the gradient of a signed distance, is first-order,
and one backward pass through it gives the second-order terms that losses on normals need.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Literal, cast, get_args

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ..errors import MissingDependencyError
from ..threads import parallel_ranges, parallel_tasks
from .config import HashGridConfig
from .hash_grid_reference import hash_encode_reference, hash_jacobian_reference

Backend = Literal["warp", "tinycudann"]
BACKENDS: tuple[Backend, ...] = get_args(Backend)

POINTS_PER_CPU_THREAD = 2048
"""Fewer points are not worth a thread."""


def hash_encode(
    points: Tensor,
    table: Tensor,
    config: HashGridConfig,
    level_weights: Tensor | None = None,
    backend: Backend = "warp",
) -> Tensor:
    """Trilinear features of points on every level (Müller et al. 2022, §3). Returns [N, 2·levels], level by level.

    points [N,3] in [0,1] float32; table [config.parameter_count] float32, tiny-cuda-nn's layout; level_weights [levels] without
    gradient, multiplied onto the levels' features: levels of weight 0 cost nothing and get no gradient. Differentiable in
    table and points, twice. backend "tinycudann" needs that package and CUDA tensors; it raises MissingDependencyError.
    float64 goes through the torch reference, slowly: for checks.
    Raises ValueError where shapes or dtypes are others. On the CPU the gradients are the same from run to run for the same
    number of threads; CUDA sums them in any order.
    """
    _check(points, table, config, level_weights)
    chosen = check_backend(backend, points.device)
    if points.dtype == torch.float64:
        return hash_encode_reference(points, table, config, level_weights)
    if chosen == "tinycudann":
        return _tinycudann_features(points, table, config, level_weights)
    return _Encode.apply(points, table, _scales(config, level_weights, points.device), config)


def check_backend(backend: str, device: torch.device) -> Backend:
    """The backend, where it can be used on this device; ValueError for an unknown name, MissingDependencyError."""
    if backend not in BACKENDS:
        raise ValueError(f"no backend of the hash grid is called {backend!r}; there are {', '.join(BACKENDS)}")
    if backend == "tinycudann":
        if device.type != "cuda":
            raise MissingDependencyError("tinycudann: its hash grid runs on CUDA only; use the backend 'warp' here")
        _tinycudann()
    return cast("Backend", backend)


def hash_encode_with_jacobian(
    points: Tensor, table: Tensor, config: HashGridConfig, level_weights: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Features [N, 2·levels] as `hash_encode`, and d features / d points [N, 2·levels, 3].

    Both are differentiable in table and points, the features twice.
    """
    _check(points, table, config, level_weights)
    if points.dtype == torch.float64:
        return hash_jacobian_reference(points, table, config, level_weights)
    return _EncodeWithJacobian.apply(points, table, _scales(config, level_weights, points.device), config)


class _Encode(torch.autograd.Function):
    """features = E(points, table)."""

    @staticmethod
    def forward(ctx: Any, points: Tensor, table: Tensor, scales: Tensor, config: HashGridConfig) -> Tensor:
        ctx.save_for_backward(points, table, scales)
        ctx.config = config
        return _encode(points, table, scales, config, with_jacobian=False)[0]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        return _encode_backward(ctx, gradients[0], None)


class _EncodeWithJacobian(torch.autograd.Function):
    """features, jacobian = E(points, table), E'(points, table)."""

    @staticmethod
    def forward(
        ctx: Any, points: Tensor, table: Tensor, scales: Tensor, config: HashGridConfig
    ) -> tuple[Tensor, Tensor | None]:
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(points, table, scales)
        ctx.config = config
        return _encode(points, table, scales, config, with_jacobian=True)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        return _encode_backward(ctx, *gradients)


def _encode_backward(ctx: Any, d_features: Tensor | None, d_jacobian: Tensor | None) -> tuple[Tensor | None, ...]:
    """Gradients of (points, table, scales, config), themselves differentiable where autograd asks for that."""
    points, table, scales = ctx.saved_tensors
    if d_features is None and d_jacobian is None:
        return None, None, None, None
    d_points = d_table = None
    if ctx.needs_input_grad[0]:
        if torch.is_grad_enabled() and d_jacobian is None:
            assert d_features is not None
            jacobian = _EncodeWithJacobian.apply(points, table, scales, ctx.config)[1]
            d_points = (d_features[:, None] @ jacobian)[:, 0]
        else:
            d_points = _PointGradient.apply(points, table, d_features, d_jacobian, scales, ctx.config)
    if ctx.needs_input_grad[1]:
        d_table = _TableGradient.apply(points, d_features, d_jacobian, scales, ctx.config)
    return d_points, d_table, None, None


class _TableGradient(torch.autograd.Function):
    """d table of <d_features, E> + <d_jacobian, E'>: linear in both, hence differentiated by E and E' of the new gradient."""

    @staticmethod
    def forward(
        ctx: Any,
        points: Tensor,
        d_features: Tensor | None,
        d_jacobian: Tensor | None,
        scales: Tensor,
        config: HashGridConfig,
    ) -> Tensor:
        ctx.save_for_backward(points, d_features, d_jacobian, scales)
        ctx.config = config
        return _table_gradient(points, d_features, d_jacobian, scales, config)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        points, d_features, d_jacobian, scales = ctx.saved_tensors
        direction = gradients[0].contiguous()
        d_points = None
        if ctx.needs_input_grad[0]:
            d_points = _point_gradient(points, direction, d_features, d_jacobian, scales, ctx.config)
        with_jacobian = d_jacobian is not None and ctx.needs_input_grad[2]
        features, jacobian = _encode(points, direction, scales, ctx.config, with_jacobian)
        return d_points, features if ctx.needs_input_grad[1] else None, jacobian, None, None


class _PointGradient(torch.autograd.Function):
    """d points of <d_features, E> + <d_jacobian, E'>. Its own derivatives would be the features' third, which nothing needs."""

    @staticmethod
    def forward(
        ctx: Any,
        points: Tensor,
        table: Tensor,
        d_features: Tensor | None,
        d_jacobian: Tensor | None,
        scales: Tensor,
        config: HashGridConfig,
    ) -> Tensor:
        return _point_gradient(points, table, d_features, d_jacobian, scales, config)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        raise NotImplementedError("the hash grid has no third derivative; differentiate its features at most twice")


def _encode(
    points: Tensor, table: Tensor, scales: Tensor, config: HashGridConfig, with_jacobian: bool
) -> tuple[Tensor, Tensor | None]:
    """Features [N,2L] and, where asked for, Jacobian [N,2L,3]; in memory each lies with the points innermost."""
    from .hash_grid_kernels import as_numbers, as_pairs, as_points, encode, encode_with_jacobian

    count, levels, device = len(points), config.levels, points.device
    active = _active_levels(scales)
    new = torch.empty if len(active) == levels else torch.zeros
    features = new(2 * levels, count, device=device)
    jacobian = new(2 * levels, 3, count, device=device) if with_jacobian else None
    inputs = [as_points(points.contiguous()), as_pairs(table.reshape(-1, 2)), *_levels(active, scales, config)]
    outputs = [as_numbers(features)] + ([] if jacobian is None else [as_numbers(jacobian)])
    _split_points(encode_with_jacobian if with_jacobian else encode, len(active), count, inputs, outputs, device)
    return features.T, None if jacobian is None else jacobian.permute(2, 0, 1)


def _table_gradient(
    points: Tensor, d_features: Tensor | None, d_jacobian: Tensor | None, scales: Tensor, config: HashGridConfig
) -> Tensor:
    """Gradient of the table [P]. On the CPU each level belongs to one thread, which sums its points in their order."""
    from ..warp_start import launch, load_kernels
    from .hash_grid_kernels import as_numbers, as_pairs, as_points, table_gradient

    count, device = len(points), points.device
    gradient = torch.zeros(config.entry_count, 2, device=device)
    active = _active_levels(scales)
    if count == 0 or len(active) == 0:
        return gradient.reshape(-1)
    by_features, by_jacobian = _cotangents(count, d_features, d_jacobian, config, device)
    inputs = [as_points(points.contiguous()), as_numbers(by_features), as_numbers(by_jacobian)]
    inputs += [*_levels(active, scales, config), int(d_jacobian is not None)]
    output = as_pairs(gradient)
    if device.type != "cpu":
        launch(table_gradient, (len(active), count), [*inputs, 0, count, 1, output], device)
        return gradient.reshape(-1)
    load_kernels(table_gradient, device)
    parallel_tasks(
        len(active), lambda slot: launch(table_gradient, (1, 1), [*inputs, slot, count, count, output], device)
    )
    return gradient.reshape(-1)


def _point_gradient(
    points: Tensor,
    table: Tensor,
    d_features: Tensor | None,
    d_jacobian: Tensor | None,
    scales: Tensor,
    config: HashGridConfig,
) -> Tensor:
    """Gradient of the points [N,3]."""
    from .hash_grid_kernels import as_numbers, as_pairs, as_points, point_gradient

    count, device = len(points), points.device
    gradient = torch.zeros(count, 3, device=device)
    active = _active_levels(scales)
    by_features, by_jacobian = _cotangents(count, d_features, d_jacobian, config, device)
    inputs = [as_points(points.contiguous()), as_pairs(table.reshape(-1, 2))]
    inputs += [as_numbers(by_features), as_numbers(by_jacobian)]
    inputs += [*_levels(active, scales, config), int(d_jacobian is not None)]
    _split_points(point_gradient, len(active), count, inputs, [as_points(gradient)], device)
    return gradient


def _split_points(
    kernel: Any, levels: int, count: int, inputs: list[Any], outputs: list[Any], device: torch.device
) -> None:
    """Launch a kernel over levels and points: on the CPU a range of points per thread, in long runs."""
    from ..warp_start import launch, load_kernels

    if count == 0 or levels == 0:
        return
    if device.type != "cpu":
        launch(kernel, (levels, count), [*inputs, 0, count, 1, *outputs], device)
        return
    load_kernels(kernel, device)
    parallel_ranges(
        count,
        lambda first, end: launch(kernel, (levels, 1), [*inputs, first, end, end - first, *outputs], device),
        POINTS_PER_CPU_THREAD,
    )


def _cotangents(
    count: int, d_features: Tensor | None, d_jacobian: Tensor | None, config: HashGridConfig, device: torch.device
) -> tuple[Tensor, Tensor]:
    """The two outputs' gradients as [2L,N] and [2L,3,N]; zeros for missing ones of the features, nothing for the Jacobian's."""
    width = config.encoding_width
    by_features = torch.zeros(width, count, device=device) if d_features is None else d_features.T.contiguous()
    if d_jacobian is None:
        return by_features, torch.empty(width, 3, 0, device=device)
    return by_features, d_jacobian.permute(1, 2, 0).contiguous()


def _levels(active: Tensor, scales: Tensor, config: HashGridConfig) -> list[Any]:
    """The kernels' arguments about levels."""
    from .hash_grid_kernels import as_numbers

    return [as_numbers(active), as_numbers(_shapes(config, scales.device)), as_numbers(scales)]


def _scales(config: HashGridConfig, level_weights: Tensor | None, device: torch.device) -> Tensor:
    """[L,2] cells per unit length and weight of each level."""
    scales = torch.ones(config.levels, 2)
    scales[:, 0] = torch.tensor([level.scale for level in config.level_table])
    scales = scales.to(device)
    if level_weights is not None:
        scales[:, 1] = level_weights.detach()
    return scales


def _active_levels(scales: Tensor) -> Tensor:
    """[A] int32 levels whose weight is not 0."""
    return torch.nonzero(scales[:, 1])[:, 0].to(torch.int32)


@lru_cache(maxsize=16)
def _shapes(config: HashGridConfig, device: torch.device) -> Tensor:
    """[L,4] int32 resolution, entries, offset and hashed of each level. Read-only, as all callers share it."""
    rows = [(level.resolution, level.entries, level.offset, int(level.hashed)) for level in config.level_table]
    return torch.tensor(rows, dtype=torch.int32, device=device)


def _check(points: Tensor, table: Tensor, config: HashGridConfig, level_weights: Tensor | None) -> None:
    if points.ndim != 2 or points.shape[1] != 3:
        raise ValueError(f"points must be [N,3], not {list(points.shape)}")
    if table.shape != (config.parameter_count,):
        raise ValueError(f"the table must be [{config.parameter_count}] for this grid, not {list(table.shape)}")
    if points.dtype != table.dtype or points.dtype not in (torch.float32, torch.float64):
        raise ValueError(
            f"points and table must both be float32, or float64; they are {points.dtype} and {table.dtype}"
        )
    if points.device != table.device:
        raise ValueError(f"points are on {points.device}, the table on {table.device}")
    if level_weights is not None and level_weights.shape != (config.levels,):
        raise ValueError(f"level_weights must be [{config.levels}], not {list(level_weights.shape)}")


def _tinycudann_features(points: Tensor, table: Tensor, config: HashGridConfig, level_weights: Tensor | None) -> Tensor:
    """Features by tiny-cuda-nn's own kernels."""
    encoding = _tinycudann_encoding(config, points.device)
    features = torch.func.functional_call(encoding, {"params": table}, (points,))
    return features if level_weights is None else features * level_weights.repeat_interleave(2)


def _tinycudann() -> Any:
    try:
        import tinycudann
    except (ImportError, OSError) as error:
        raise MissingDependencyError(
            "tinycudann is not installed here; install it or use the backend 'warp'"
        ) from error
    return tinycudann


@lru_cache(maxsize=4)
def _tinycudann_encoding(config: HashGridConfig, device: torch.device) -> Any:
    settings = {
        "otype": "HashGrid",
        "n_levels": config.levels,
        "n_features_per_level": config.features_per_level,
        "log2_hashmap_size": config.log2_table_size,
        "base_resolution": config.base_resolution,
        "per_level_scale": config.per_level_scale,
    }
    with torch.cuda.device(device):
        return _tinycudann().Encoding(3, settings, dtype=torch.float32)
