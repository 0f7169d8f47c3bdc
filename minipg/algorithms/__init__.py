"""The algorithms, one file each, and the way back from a saved file to whichever it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from minipg.algorithms.agent import Agent
from minipg.algorithms.trpo import TRPO, TRPOConfig
from minipg.errors import AgentFileError
from minipg.storage import load_arrays

ALGORITHMS: dict[str, type[Agent[Any]]] = {"trpo": TRPO}

__all__ = ["ALGORITHMS", "TRPO", "Agent", "TRPOConfig", "load"]


def load(path: str | Path, env: Any = None, **options: Any) -> Agent[Any]:
    """The agent in a run folder or an agent file, whichever algorithm it is. Raises AgentFileError."""
    path = Path(path)
    if path.is_dir():
        path = path / "agent.npz"
    name = load_arrays(path)[1].get("algorithm")
    if not isinstance(name, str) or name not in ALGORITHMS:
        raise AgentFileError(f"{path}: holds an agent of unknown algorithm {name!r}")
    return ALGORITHMS[name].load(path, env, **options)
