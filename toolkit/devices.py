"""Where trainings run: the CPU, one GPU, all devices of a machine, or several machines.

`on(...)` reaches every training inside the block, those within passes too. Several devices see
each batch in parts and add up their gradients (tf.distribute). Machines are named by TF_CONFIG, as
TensorFlow defines it; the same command is started on each, and the chief alone writes files.
"""

from __future__ import annotations

import functools
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from toolkit.errors import DeviceError, near

DEVICES = ("auto", "cpu", "gpu", "all")


@dataclass(frozen=True, eq=False)
class Place:
    """Where a training runs; device "" leaves it to TensorFlow, strategy is of several devices.

    mixed: float16 arithmetic with float32 weights. scratch: where a worker that is not the chief
    puts its files.
    """

    name: str = ""
    device: str = ""
    strategy: Any = None
    mixed: bool = False
    scratch: Path | None = None

    @property
    def chief(self) -> bool:
        """Whether this process writes the files."""
        return self.scratch is None

    def scope(self) -> AbstractContextManager[Any]:
        """Where variables are made and computed with."""
        import tensorflow as tf

        if self.strategy is not None:
            return self.strategy.scope()  # type: ignore[no-any-return]
        return tf.device(self.device) if self.device else nullcontext()


_here: ContextVar[Place] = ContextVar("here", default=Place())  # noqa: B039  # it is frozen


def here() -> Place:
    """Where the trainings of this context run."""
    return _here.get()


@contextmanager
def on(devices: str = "auto", *, mixed: bool = False) -> Iterator[None]:
    """Run every training inside the block on these devices, or on the machines of TF_CONFIG.

    auto: one GPU, or the CPU where there is none. gpu: one GPU. all: every GPU, or every CPU
    device where there is none. mixed: mixed_float16, on GPUs alone. Where TF_CONFIG is set this
    must come before anything else of TensorFlow runs. Raises DeviceError for what is not there.

    >>> from toolkit import data, models, training
    >>> wine, brief = data.load("wine"), training.Settings(epochs=2)
    >>> with on("cpu"):
    ...     net = models.build("tabular", wine.fit.train)
    ...     model, history = training.train(net, wine.fit, brief)
    >>> history.facts["devices"]
    'CPU'
    """
    with tempfile.TemporaryDirectory() as folder:
        token = _here.set(_found(devices, mixed, Path(folder)))
        try:
            yield
        finally:
            _here.reset(token)


def written(path: Path) -> Path:
    """Where this process may write what belongs at `path`: there if it is the chief."""
    scratch = here().scratch
    return path if scratch is None else scratch / path.name


def shared(content: bytes) -> bytes:
    """What the chief has, on every worker; all of them must ask."""
    if not _workers():
        return content
    place = here()
    mine = np.frombuffer(content if place.chief else b"", np.uint8)
    row = np.zeros(int(_summed(np.array([len(mine)]))[0]), np.int32)
    row[: len(mine)] = mine
    return bytes(_summed(row).astype(np.uint8).tobytes())


def _summed(values: Any) -> Any:
    """The sum over the workers; the first device of each counts."""
    import tensorflow as tf

    strategy = here().strategy
    share = strategy.experimental_distribute_values_from_function(
        lambda context: (
            tf.constant(values) * (0 if context.replica_id_in_sync_group else 1)
            if here().chief
            else tf.zeros_like(values)
        )
    )
    return strategy.reduce("SUM", share, axis=None).numpy()


def _found(devices: str, mixed: bool, folder: Path) -> Place:
    if devices not in DEVICES:
        raise DeviceError(f"unknown devices '{devices}'", near(devices, DEVICES))
    if _workers():
        strategy = _across()
        gpus = [d for d in strategy.extended.worker_devices if "GPU" in d]
        resolver = strategy.cluster_resolver
        first = resolver.task_type == "chief" or (
            not resolver.cluster_spec().as_dict().get("chief") and resolver.task_id == 0
        )
        name = f"{strategy.num_replicas_in_sync} replicas on {_workers()} workers"
        place = Place(name, strategy=strategy, mixed=mixed, scratch=None if first else folder)
    else:
        import tensorflow as tf

        gpus = [d.name for d in tf.config.list_logical_devices("GPU")]
        used = gpus or [d.name for d in tf.config.list_logical_devices("CPU")]
        if devices == "gpu" and not gpus:
            raise DeviceError(
                "TensorFlow sees no GPU here", "a GPU with its drivers", "choose cpu or auto"
            )
        if devices == "cpu":
            gpus = []
        if devices == "all" and len(used) > 1:
            kind = "GPU" if gpus else "CPU"
            place = Place(f"{len(used)} x {kind}", strategy=_mirrored(*used), mixed=mixed)
        else:
            kind = "GPU" if gpus else "CPU"
            place = Place(kind, device=f"/{kind}:0", mixed=mixed)
    if mixed and not gpus:
        raise DeviceError(
            "mixed precision without a GPU", "float16 arithmetic is for GPUs", "leave it out"
        )
    return place


def _workers() -> int:
    """The number of machines that TF_CONFIG names, 0 where it is not set."""
    text = os.environ.get("TF_CONFIG", "")
    if not text:
        return 0
    try:
        cluster = json.loads(text)["cluster"]
        return sum(len(cluster.get(role, ())) for role in ("chief", "worker"))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DeviceError(
            f"TF_CONFIG is {text}", "JSON with cluster and task", "correct it or unset it"
        ) from error


@functools.cache
def _mirrored(*devices: str) -> Any:
    """The strategy over these devices; a second one would take the first one's messages for its."""
    import tensorflow as tf

    return tf.distribute.MirroredStrategy(list(devices))


@functools.cache
def _across() -> Any:
    """The strategy over all workers, which a process can make once, at its start."""
    import tensorflow as tf

    try:
        return tf.distribute.MultiWorkerMirroredStrategy()
    except (RuntimeError, ValueError, KeyError) as error:
        raise DeviceError(
            f"the workers of TF_CONFIG cannot be joined ({error})",
            "its addresses, and nothing of TensorFlow before on(...)",
            "correct TF_CONFIG or come earlier",
        ) from error
