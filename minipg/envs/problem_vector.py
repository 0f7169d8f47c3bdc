"""What vector environments of a compiled problem share, on the processor and on a device."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium.vector import VectorEnv
from gymnasium.vector.utils import batch_space

from minipg.checks import Array, require
from minipg.envs.problems import problem_of, spaces_of
from minipg.envs.register import compiled_spec


class ProblemVectorEnv(VectorEnv[Array, Array, Array]):
    """`num_envs` environments of the problem `name`, with its spaces; a class beneath it steps them.

    physics: arguments of Gymnasium's class. Raises ConfigError for one that kernels do not take.
    """

    def __init__(self, name: str, num_envs: int, max_episode_steps: int | None, **physics: Any) -> None:
        require(num_envs >= 1, "num_envs", "an integer ≥ 1", num_envs)
        self.problem, self.num_envs = problem_of(name, physics), num_envs
        self.time_limit = self.problem.time_limit if max_episode_steps is None else max_episode_steps
        require(self.time_limit >= 1, "max_episode_steps", "an integer ≥ 1", max_episode_steps)
        self.spec = compiled_spec(name, self.time_limit, physics)
        self.single_observation_space, self.single_action_space = spaces_of(self.problem)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)


def final_infos(obs: Array, done: Array) -> dict[str, Any]:
    """The infos of a step that reset the environments in `done` (N,), with copies of their last observations (N, O)."""
    final = np.full(len(done), None, object)
    for n in np.flatnonzero(done).tolist():
        final[n] = obs[n].copy()
    return {"final_obs": final, "_final_obs": done.copy(), "final_info": {}, "_final_info": done.copy()}
