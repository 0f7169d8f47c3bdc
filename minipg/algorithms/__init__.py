"""The algorithms, one file each, and `load` for a saved agent of any of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from minipg.algorithms.a2c import A2C, A2CConfig
from minipg.algorithms.a3c import A3C, A3CConfig
from minipg.algorithms.agent import Agent
from minipg.algorithms.agent_file import AgentFile
from minipg.algorithms.ddpg import DDPG, DDPGConfig
from minipg.algorithms.dpg import DPG, DPGConfig
from minipg.algorithms.npg import NPG, NPGConfig
from minipg.algorithms.ppo import PPO, PPOConfig
from minipg.algorithms.reinforce import REINFORCE, REINFORCEConfig
from minipg.algorithms.td3 import TD3, TD3Config
from minipg.algorithms.trpo import TRPO, TRPOConfig
from minipg.algorithms.vpg import VPG, VPGConfig
from minipg.errors import AgentFileError

_ALL = (REINFORCE, VPG, A2C, A3C, NPG, TRPO, PPO, DPG, DDPG, TD3)
ALGORITHMS: dict[str, type[Agent[Any]]] = {one.name: one for one in _ALL}

__all__ = [
    "A2C", "A3C", "ALGORITHMS", "DDPG", "DPG", "NPG", "PPO", "REINFORCE", "TD3", "TRPO", "VPG", "A2CConfig",
    "A3CConfig", "Agent", "DDPGConfig", "DPGConfig", "NPGConfig", "PPOConfig", "REINFORCEConfig", "TD3Config",
    "TRPOConfig", "VPGConfig", "load",
]  # fmt: skip


def load(path: str | Path, env: Any = None, playing: bool = False, **options: Any) -> Agent[Any]:
    """The agent in an agent file, of any algorithm. `options` as for `Agent.load`. Raises AgentFileError.

    `playing`: with one environment, however many it was trained on.
    """
    file = AgentFile.read(Path(path))
    file = file.for_playing() if playing else file
    if not isinstance(file.algorithm, str) or file.algorithm not in ALGORITHMS:
        raise AgentFileError(f"{path}: holds an agent of unknown algorithm {file.algorithm!r}")
    return ALGORITHMS[file.algorithm].of_file(file, env, **options)
