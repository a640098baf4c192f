"""Data parallelism under `torchrun`: each process renders its share of a step's images, the gradients are summed.

Losses carry the whole batch's weights, so the sum over processes is the gradient that one process would have.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from ..errors import InputError

Item = TypeVar("Item")


@dataclass(frozen=True)
class Processes:
    """This process among those that train together."""

    rank: int = 0
    count: int = 1
    local_rank: int = 0

    @property
    def leads(self) -> bool:
        """Whether this one writes files and shows progress."""
        return self.rank == 0

    def share(self, items: Sequence[Item]) -> list[tuple[int, Item]]:
        """This process's items with their places in the whole batch."""
        return [(place, item) for place, item in enumerate(items) if place % self.count == self.rank]


@contextmanager
def joined_processes(device: torch.device) -> Iterator[Processes]:
    """Join the group that torchrun's environment describes; alone without one. NCCL on CUDA, Gloo elsewhere."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield Processes()
        return
    try:
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    except (ValueError, RuntimeError) as error:
        raise InputError(
            f"cannot join the other processes ({error}): start with torchrun --nproc_per_node=N"
        ) from error
    try:
        yield Processes(dist.get_rank(), dist.get_world_size(), int(os.environ.get("LOCAL_RANK", "0")))
    finally:
        dist.destroy_process_group()


def sum_gradients(parameters: Iterable[Tensor], processes: Processes) -> None:
    """Replace every gradient by its sum over the processes; parameters that only others used get theirs too."""
    if processes.count == 1:
        return
    for parameter in parameters:
        if parameter.requires_grad:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            dist.all_reduce(parameter.grad)


def sum_scalars(values: dict[str, float], processes: Processes) -> dict[str, float]:
    """Sums over the processes of values under the same names in each."""
    if processes.count == 1:
        return values
    names = sorted(values)
    total = torch.tensor([values[name] for name in names], dtype=torch.float64)
    if dist.get_backend() == "nccl":
        total = total.float().to("cuda")
    dist.all_reduce(total)
    return dict(zip(names, total.tolist(), strict=True))


def anyone(flag: bool, processes: Processes) -> bool:
    """Whether any process says so: all stop together or none does."""
    return sum_scalars({"flag": float(flag)}, processes)["flag"] > 0
