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
from minipg.algorithms.dppo import DPPO, DPPOConfig
from minipg.algorithms.npg import NPG, NPGConfig
from minipg.algorithms.ppo import PPO, PPOConfig
from minipg.algorithms.reinforce import REINFORCE, REINFORCEConfig
from minipg.algorithms.td3 import TD3, TD3Config
from minipg.algorithms.trpo import TRPO, TRPOConfig
from minipg.algorithms.vpg import VPG, VPGConfig
from minipg.envs import imported, imported_class, not_imported
from minipg.errors import AgentFileError, ConfigError, unknown_name

_ALL = (REINFORCE, VPG, A2C, A3C, NPG, TRPO, PPO, DPPO, DPG, DDPG, TD3)
ALGORITHMS: dict[str, type[Agent[Any]]] = {one.name: one for one in _ALL}

__all__ = [
    "A2C", "A3C", "ALGORITHMS", "DDPG", "DPG", "DPPO", "NPG", "PPO", "REINFORCE", "TD3", "TRPO", "VPG", "A2CConfig",
    "A3CConfig", "Agent", "DDPGConfig", "DPGConfig", "DPPOConfig", "NPGConfig", "PPOConfig", "REINFORCEConfig",
    "TD3Config", "TRPOConfig", "VPGConfig", "algorithm_named", "load",
]  # fmt: skip


def load(path: str | Path, env: Any = None, playing: bool = False, **options: Any) -> Agent[Any]:
    """The agent in an agent file, of any algorithm. `options` as for `Agent.load`. Raises AgentFileError.

    `playing`: with one environment, however many it was trained on.
    """
    file = AgentFile.read(Path(path))
    file = file.for_playing() if playing else file
    return class_of(file).of_file(file, env, **options)


def class_of(file: AgentFile) -> type[Agent[Any]]:
    """The class of the agent in a file: one of ALGORITHMS, or one of a module that is imported already."""
    known = ALGORITHMS.get(file.algorithm) if isinstance(file.algorithm, str) else None
    if file.own_class is None and known is not None:
        return known
    if file.own_class is None:
        raise AgentFileError(f"{file.path}: holds an agent of unknown algorithm {file.algorithm!r}")
    found = imported_class(file.own_class)
    if found is None or not issubclass(found, Agent):
        raise AgentFileError(f"{file.path}: {not_imported(file.own_class)}")
    return found


def algorithm_named(name: str) -> type[Agent[Any]]:
    """One of ALGORITHMS, or the subclass of Agent that MODULE:CLASS names; the module is imported.

    Raises UnknownNameError, and ConfigError for a module or class that is not there.
    """
    module, colon, member = name.partition(":")
    if not colon:
        if name not in ALGORITHMS:
            raise unknown_name("algorithm", name, ALGORITHMS)
        return ALGORITHMS[name]
    found = getattr(imported(module), member, None)
    if not (isinstance(found, type) and issubclass(found, Agent) and hasattr(found, "name")):
        raise ConfigError(f"{name}: expected a subclass of minipg.algorithms.Agent with a name and a Config")
    return found
