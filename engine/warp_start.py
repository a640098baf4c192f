"""Starts NVIDIA Warp quietly. Every module with Warp kernels imports `wp` from here."""

from __future__ import annotations

import os
from typing import Any

import torch
import warp as wp

__all__ = ["launch", "load_kernels", "wp"]


def _start_warp() -> None:
    """Initialise Warp without its native notice about a missing NVIDIA driver: the CPU is a device of full standing here."""
    if hasattr(wp, "LOG_ERROR"):
        wp.config.log_level = wp.LOG_ERROR
    else:
        wp.config.quiet = True
    try:
        kept = os.dup(2)
    except OSError:
        wp.init()
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        wp.init()
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


_start_warp()


def launch(kernel: Any, dim: Any, inputs: list[Any], device: torch.device) -> None:
    """Run a kernel on the torch device that holds its arrays.

    On the CPU it runs in the calling thread and lets other Python threads run meanwhile, so `engine.threads` may split it:
    compile its module first with `load_kernels`, for Warp's loader is not made for several threads, and use no tiles, whose
    memory on the CPU is one for all threads.
    """
    wp.launch(kernel, dim=dim, inputs=inputs, device=wp.device_from_torch(device))


def load_kernels(kernel: Any, device: torch.device) -> None:
    """Compile and load the module that the kernel is in, or do nothing where that is done."""
    kernel.module.load(wp.device_from_torch(device))
