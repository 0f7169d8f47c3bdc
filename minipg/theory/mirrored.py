"""A device's kernels under arrays of the host, so that laws that speak of NumPy arrays hold them too."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, cached_property
from types import ModuleType
from typing import Any

import numpy as np

from minipg.runtime.backend import Backend, to_host

_DESCRIPTIONS = ("policy", "sizes")  # parameters that are on the host in every twin


def on_host(backend: Backend) -> Backend:
    """The backend itself where its arrays are NumPy's, else one whose kernels move them up and down."""
    return backend if backend.on_host else Mirrored(backend.name, device=backend)


@dataclass(frozen=True)
class Mirrored(Backend):
    """NumPy arrays in every public function; a kernel gets copies on the `device`, and what it made comes back."""

    device: Backend = field(kw_only=True)

    @cached_property
    def on_host(self) -> bool:
        """Its arrays are NumPy's."""
        return True

    def kernels(self, module: str) -> ModuleType:
        """The kernels of one file."""
        return _mirrored_module(super().kernels(module), self.device)


@cache
def _mirrored_module(twin: ModuleType, device: Backend) -> ModuleType:
    mirrored = ModuleType(twin.__name__)
    for name, kernel in vars(twin).items():
        if callable(kernel) and not name.startswith("_"):
            setattr(mirrored, name, _mirrored(kernel, device))
    return mirrored


def _mirrored(kernel: Callable[..., Any], device: Backend) -> Callable[..., Any]:
    names = list(inspect.signature(kernel).parameters)
    if names == ["family"]:
        return lambda family: _mirrored(kernel(family), device)

    def call(*arguments: Any) -> None:
        pairs = [
            (argument, argument if name in _DESCRIPTIONS else _up(device, argument))
            for name, argument in zip(names, arguments, strict=True)
        ]
        kernel(*(there for _, there in pairs))
        for here, there in pairs:
            if there is not here and isinstance(here, np.ndarray) and here.flags.writeable:
                here[...] = to_host(there)

    return call


def _up(device: Backend, argument: Any) -> Any:
    if isinstance(argument, tuple):
        return tuple(_up(device, one) for one in argument)
    return device.to_device(argument) if isinstance(argument, np.ndarray) else argument
