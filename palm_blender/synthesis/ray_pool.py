"""Workers on a Ray cluster: one actor a slot, each with one long-lived Blender process. Only this module needs Ray.

The workers write the pictures themselves: this folder of code, the data set, avatars, poses and lights must lie on a file
system that all nodes have at the same place.
"""

from __future__ import annotations

import math
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

from ...engine import errors
from ...engine.errors import InputError, MissingDependencyError, PalmError
from .task_board import Task
from .worker_process import BUILD, GRACE_S, WorkerLost

LOCAL = "local"
CONNECT_S = 10.0
"""The longest that a cluster may take to answer."""


class Cluster(NamedTuple):
    """What of a cluster is used."""

    ray: Any
    workers: int
    cpus: int
    """that each worker claims, and the threads it renders with where it shares a node"""
    gpus: int
    """that each worker claims: 0 or 1"""
    shared_nodes: bool
    """several workers run on one node"""


@contextmanager
def joined(address: str, device: str, workers: int | None) -> Iterator[Cluster]:
    """Join the cluster at an address, or start one on this machine for "local"; left, or ended, with the block.

    workers: None for one a node, or one a GPU where there are any and `device` is not "cpu". Raises
    MissingDependencyError, and InputError where no cluster answers.
    """
    # Ray reports its use to its makers unless told not to
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
    except ImportError as error:
        raise MissingDependencyError("Ray is missing: run `pip install palm-hands[cluster]`") from error
    _check_listens(address)
    own = {"num_cpus": max(workers or 1, os.cpu_count() or 1)} if address == LOCAL else {}
    try:
        ray.init(address=address, include_dashboard=False, log_to_driver=False, logging_level="ERROR", **own)
    except (ConnectionError, ValueError, RuntimeError, OSError) as error:
        raise InputError(f"no Ray cluster answers at {address} ({error}): give its host:port, or local") from error
    try:
        yield _layout(ray, device, workers)
    finally:
        ray.shutdown()


def _check_listens(address: str) -> None:
    """Raises InputError where nobody listens at HOST:PORT; Ray itself would ask again for minutes."""
    host, _, port = address.rpartition(":")
    if not host or "/" in host or not port.isdecimal():
        return  # local, auto, or what only Ray understands
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_S).close()
    except (OSError, OverflowError, UnicodeError) as error:
        raise InputError(f"no Ray cluster answers at {address} ({error}): give its host:port, or local") from error


def slots(
    cluster: Cluster, opening: Mapping[str, Any], tasks: int, renew_after: int, timeout_s: float
) -> list[RaySlot]:
    """As many slots as the cluster has workers for, at most one a task."""
    actor = _actor_class(cluster)
    threads = cluster.cpus if cluster.shared_nodes else 0
    arguments = (str(BUILD), {**opening, "threads": threads}, renew_after, timeout_s)
    return [RaySlot(cluster.ray, actor, arguments) for _ in range(max(1, min(cluster.workers, tasks)))]


class RaySlot:
    """One actor at a time, made anew where it, its process or its node is lost."""

    def __init__(self, ray: Any, actor_class: Any, arguments: Sequence[Any]):
        self._ray, self._actor_class, self._arguments = ray, actor_class, arguments
        self._actor: Any = None
        self._closed = False

    def start(self) -> Mapping[str, Any] | None:
        if self._closed:
            raise WorkerLost("the run has ended")
        if self._actor is None:
            self._actor = self._actor_class.remote(*self._arguments)
        (facts,) = self._events(self._actor.start.options(num_returns="streaming").remote())
        return facts.get("facts")

    def perform(self, task: Task) -> Iterator[Mapping[str, Any]]:
        actor = self._actor
        if actor is None:
            raise WorkerLost("the run has ended")
        shots = [list(shot) for shot in task.shots]
        yield from self._events(actor.perform.options(num_returns="streaming").remote(task.unit, shots))

    def close(self) -> None:
        self._closed = True
        actor, self._actor = self._actor, None
        if actor is None:
            return
        with suppress(self._ray.exceptions.RayError):  # it is gone, or not yet anywhere
            self._ray.get(actor.close.remote(), timeout=GRACE_S + 5)
        self._ray.kill(actor)

    def _events(self, references: Any) -> Iterator[Mapping[str, Any]]:
        """What the actor's method yields. Raises WorkerLost, PalmError."""
        try:
            for reference in references:
                event = self._ray.get(reference)
                if event["event"] == "lost":
                    raise WorkerLost(event["error"])
                if event["event"] == "refused":
                    raise getattr(errors, event["kind"], PalmError)(event["message"])
                yield event
        except self._ray.exceptions.RayError as error:
            self._actor = None
            raise WorkerLost(f"Ray: {_last_line(error)}") from error


def _layout(ray: Any, device: str, workers: int | None) -> Cluster:
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU", 0) >= 1]
    if not nodes:
        raise InputError("the Ray cluster has no node with a free CPU: start nodes with `ray start --num-cpus N`")
    gpus = 0 if device == "cpu" else int(sum(node.get("GPU", 0) for node in nodes))
    count = workers or gpus or len(nodes)
    on_one_node = math.ceil(count / len(nodes))
    cpus = max(1, int(min(node["CPU"] for node in nodes)) // on_one_node)
    return Cluster(ray, count, cpus, 1 if gpus else 0, on_one_node > 1)


def _actor_class(cluster: Cluster) -> Any:
    """The actor, complete in itself: the nodes' processes cannot import this module before it has loaded the package."""

    class Photographer:
        def __init__(self, build: str, opening: dict, renew_after: int, timeout_s: float):
            import importlib
            import importlib.util
            import tempfile
            from pathlib import Path

            spec = importlib.util.spec_from_file_location("build", build)
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            name = f"{module.load_package().__name__}.palm_blender.synthesis"
            self._lost = importlib.import_module(f"{name}.worker_process").WorkerLost
            self._refused = importlib.import_module(f"{name}.recipe").InputError.__mro__[1]
            self._ids = importlib.import_module(f"{name}.shots").ShotId
            self._task = importlib.import_module(f"{name}.task_board").Task
            scratch = Path(tempfile.mkdtemp(prefix="palm-workers-"))
            slot = importlib.import_module(f"{name}.pool").LocalSlot
            self._slot = slot(opening, scratch / "slot", renew_after, timeout_s)
            self._scratch = scratch

        def start(self):
            yield from self._told(self._started)

        def _started(self):
            yield {"event": "started", "facts": self._slot.start()}

        def perform(self, unit: int, shots: list):
            task = self._task(unit, tuple(self._ids(*shot) for shot in shots))
            yield from self._told(lambda: self._slot.perform(task))

        def close(self):
            import shutil

            self._slot.close()
            shutil.rmtree(self._scratch, ignore_errors=True)

        def _told(self, events):
            """Events, with what is raised as the last of them."""
            try:
                yield from events()
            except self._lost as error:
                yield {"event": "lost", "error": str(error)}
            except self._refused as error:
                yield {"event": "refused", "kind": type(error).__name__, "message": str(error)}

    options = {"num_cpus": cluster.cpus, "num_gpus": cluster.gpus, "max_restarts": 0, "scheduling_strategy": "SPREAD"}
    # two threads: one photographs, the other can close
    return cluster.ray.remote(max_concurrency=2, **options)(Photographer)


def _last_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
