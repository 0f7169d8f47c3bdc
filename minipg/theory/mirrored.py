"""A device's kernels behind NumPy arrays, so that laws written for NumPy arrays check them too."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, cached_property
from types import ModuleType
from typing import Any

import numpy as np

from minipg.runtime.backend import Backend, to_host

_ON_HOST = ("policy", "network", "actor", "critic", "family", "sizes")  # arguments that are on the host in every twin


def on_host(backend: Backend) -> Backend:
    """The backend itself if its arrays are NumPy's, else one whose kernels copy NumPy arrays to the device and back."""
    return backend if backend.on_host else Mirrored(backend.name, device=backend)


@dataclass(frozen=True)
class Mirrored(Backend):
    """A backend of NumPy arrays: its kernels run on copies on the `device` and copy their outputs back."""

    device: Backend = field(kw_only=True)

    @cached_property
    def on_host(self) -> bool:
        """True: its arrays are NumPy's."""
        return True

    def kernels(self, module: str) -> ModuleType:
        """The kernels of one file, called with NumPy arrays."""
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

    def call(*arguments: Any) -> Any:
        named = zip(names, arguments, strict=True)
        copies = [argument if name in _ON_HOST else _up(device, argument) for name, argument in named]
        found = kernel(*copies)
        for here, there in zip(arguments, copies, strict=True):
            if there is not here and isinstance(here, np.ndarray) and here.flags.writeable:
                here[...] = to_host(there)
        return found  # a size; kernels return nothing

    return call


def _up(device: Backend, argument: Any) -> Any:
    if isinstance(argument, tuple):
        parts = [_up(device, one) for one in argument]
        return type(argument)(*parts) if hasattr(argument, "_fields") else tuple(parts)
    return device.to_device(argument) if isinstance(argument, np.ndarray) else argument
