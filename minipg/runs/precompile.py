"""A first run, compiled by two processes.

What one of them pickles is for the other, which it begins, and for nobody else.
"""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from typing import Any

from minipg.algorithms import Agent
from minipg.algorithms.precompile import compile_update, without_environments
from minipg.runtime.compiling import when_compiling

# with this process's own places of modules: of itself Python would look in the folder that it is in before them
_SECOND = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from minipg.runs.precompile import second
second()
"""


@contextmanager
def compiled_by_two(agent: Agent[Any]) -> Iterator[None]:
    """While inside, a second process compiles an update's kernels, beside this one and as soon as it begins to.

    Each finds in Numba's cache what the other has compiled, and waits for what the other is at; what is compiled inside
    other kernels, both compile. The second ends when it has compiled its part, at the latest with this context.
    """
    begun: list[subprocess.Popen[bytes]] = []

    def begin() -> None:
        places = json.dumps([path for path in sys.path if isinstance(path, str)])
        with suppress(Exception), tempfile.TemporaryFile() as words:  # without it, the run is slower to begin
            pickle.dump(without_environments(agent), words)
            words.seek(0)
            # a session of its own: a terminal's Ctrl-C is not its business
            begun.append(subprocess.Popen([sys.executable, "-I", "-c", _SECOND, places], stdin=words,
                                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                          start_new_session=True))  # fmt: skip

    two = agent.backend.name == "numba" and agent.backend.threads > 1
    try:
        with when_compiling(begin, kept=True) if two else nullcontext():
            yield
    finally:
        for process in begun:
            process.kill()
            process.wait()


def second() -> None:
    """What the second process does: it rehearses the agent on its standard input."""
    compile_update(pickle.load(sys.stdin.buffer))
