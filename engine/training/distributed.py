"""Data parallelism under `torchrun`: each process renders its share of a step's images, the gradients are summed.

Losses carry the whole batch's weights, so the sum over processes is the gradient that one process would have.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
import torch.distributed.nn.functional
from torch import Tensor

from ..errors import InputError, PalmError

Item = TypeVar("Item")

PATIENCE = timedelta(hours=12)
"""How long processes wait for one another: the first renders the held-out frames alone. torchrun ends them when one dies."""


class LostProcess(PalmError):
    """Another of the processes that train together has ended."""


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
    local_rank = int(os.environ.get("LOCAL_RANK", "0"))
    if device.type == "cuda":
        if local_rank >= torch.cuda.device_count():
            raise InputError(f"there are {torch.cuda.device_count()} CUDA devices: start no more processes than that")
        torch.cuda.set_device(local_rank)  # or all would work, and speak to each other, on the first
    # torch.distributed.nn is imported above, before there is a group: default arguments of its functions hold the group that
    # is there as it is first imported (optimisers do that), whose threads then outlive `destroy_process_group`, and one that
    # wakes as Python ends aborts the process
    try:
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=PATIENCE)
    except (ValueError, RuntimeError) as error:
        raise InputError(
            f"cannot join the other processes ({error}): start with torchrun --nproc_per_node=N"
        ) from error
    try:
        yield Processes(dist.get_rank(), dist.get_world_size(), local_rank)
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
            with explained():
                dist.all_reduce(parameter.grad)


def same_everywhere(tensors: Iterable[Tensor], processes: Processes) -> None:
    """Give all processes the first one's values: what each computes for itself may differ in its last digits on a GPU."""
    if processes.count == 1:
        return
    for tensor in tensors:
        with explained(), torch.no_grad():
            dist.broadcast(tensor, src=0)


def sum_scalars(values: dict[str, float], processes: Processes, names: Iterable[str] | None = None) -> dict[str, float]:
    """Sums over the processes. names: the same in every process; where one has no value of a name, it adds 0."""
    if processes.count == 1:
        return values
    ordered = sorted(values if names is None else names)
    total = torch.tensor([values.get(name, 0.0) for name in ordered], dtype=torch.float64)
    if dist.get_backend() == "nccl":
        total = total.to("cuda")
    with explained():
        dist.all_reduce(total)
    return dict(zip(ordered, total.tolist(), strict=True))


def anyone(flag: bool, processes: Processes) -> bool:
    """Whether any process says so: all stop together or none does."""
    return sum_scalars({"flag": float(flag)}, processes)["flag"] > 0


@contextmanager
def explained() -> Iterator[None]:
    """What torch says when a peer is gone, in one line."""
    try:
        yield
    except RuntimeError as error:
        raise LostProcess("another of the processes has ended: see its message, then go on with --resume") from error
