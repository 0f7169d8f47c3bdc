"""A first run, compiled by two processes: `python -m minipg.runs.rehearsal` makes an update of an agent on its input.

What is pickled comes from the process that began this one, and from nowhere else.
"""

from __future__ import annotations

import pickle
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from typing import Any

from minipg.algorithms import Agent
from minipg.algorithms.rehearsal import rehearse, understudy
from minipg.compiling import when_compiling


@contextmanager
def compiled_by_two(agent: Agent[Any]) -> Iterator[None]:
    """While inside, a second process compiles an update's kernels, beside this one and as soon as it begins to.

    Each finds in Numba's cache what the other has compiled, and waits for what the other is at (kernels/cpu/_jit.py).
    """
    begun: list[subprocess.Popen[bytes]] = []

    def begin() -> None:
        with suppress(Exception), tempfile.TemporaryFile() as words:  # without it, the run is slower to begin
            pickle.dump(understudy(agent), words)
            words.seek(0)
            # a session of its own: a terminal's Ctrl-C is not its business
            begun.append(subprocess.Popen([sys.executable, "-m", "minipg.runs.rehearsal"], stdin=words,
                                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                          start_new_session=True))  # fmt: skip

    two = agent.backend.name == "numba" and agent.backend.threads > 1
    try:
        with when_compiling(begin) if two else nullcontext():
            yield
    finally:
        for process in begun:
            process.kill()
            process.wait()


if __name__ == "__main__":
    rehearse(pickle.load(sys.stdin.buffer))
