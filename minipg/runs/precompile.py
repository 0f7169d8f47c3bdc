"""The kernels of a run: imported before it learns, and on a first run compiled by two processes."""

from __future__ import annotations

import pickle
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from minipg.algorithms import Agent
from minipg.algorithms.precompile import compile_update, without_environments
from minipg.runtime.compiling import when_compiling
from minipg.runtime.modules import python_command

_SECOND = "from minipg.runs.precompile import compile_pickled; compile_pickled()"


def import_kernels(agent: Agent[Any]) -> None:
    """Import the modules of compiled kernels, which would otherwise be imported, and timed, in the first update."""
    if agent.backend.name == "numba":
        package = import_module(agent.backend.kernels("mlp").__name__.rpartition(".")[0])
        for module in iter_modules(package.__path__):
            if not module.ispkg and not module.name.startswith("_"):
                agent.backend.kernels(module.name)
        if hasattr(agent.envs, "in_kernels"):
            import_module("minipg.rollout.compiled")


@contextmanager
def compiling_in_two_processes(agent: Agent[Any]) -> Iterator[None]:
    """Within, as soon as a kernel has to be compiled, a second process compiles the kernels of an update, too.

    Each process finds in Numba's cache what the other has compiled, and waits for a kernel that the other is compiling.
    What is inlined into several kernels is compiled by both. The second process ends when it has compiled all kernels,
    or with this context.
    """
    started: list[subprocess.Popen[bytes]] = []

    def start() -> None:
        if hasattr(agent, "replay"):  # too large to send, and its first update is thousands of steps away
            return
        # if this fails, compiling takes longer, and that is all
        with suppress(Exception), tempfile.TemporaryFile() as pickled:
            pickle.dump(without_environments(agent), pickled)
            pickled.seek(0)
            # in a session of its own, so that Ctrl-C in a terminal does not reach it
            started.append(subprocess.Popen(python_command(_SECOND), stdin=pickled, stdout=subprocess.DEVNULL,
                                            stderr=subprocess.DEVNULL, start_new_session=True))  # fmt: skip

    two = agent.backend.name == "numba" and agent.backend.threads > 1
    try:
        with when_compiling(start, kept=True) if two else nullcontext():
            yield
    finally:
        for process in started:
            process.kill()
            process.wait()


def compile_pickled() -> None:
    """Compile the kernels of the agent that is pickled on standard input: what the second process does."""
    compile_update(pickle.load(sys.stdin.buffer))
