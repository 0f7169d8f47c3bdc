"""Pictures of the compiled problems, drawn by Gymnasium's own environments (they need pygame)."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from minipg.checks import Array

RENDER_MODES = ["human", "rgb_array"]
_CLASSES = {
    "CartPole-v1": "CartPoleEnv", "Acrobot-v1": "AcrobotEnv", "MountainCar-v0": "MountainCarEnv",
    "MountainCarContinuous-v0": "Continuous_MountainCarEnv", "Pendulum-v1": "PendulumEnv",
}  # fmt: skip


class Drawing:
    """Draws states of the problem `name`: in a window ("human"), or as pictures ("rgb_array")."""

    def __init__(self, name: str, mode: str) -> None:
        self._env: Any = getattr(import_module("gymnasium.envs.classic_control"), _CLASSES[name])(render_mode=mode)

    @property
    def render_fps(self) -> int:
        """Frames a second of Gymnasium's environment."""
        return int(self._env.metadata["render_fps"])

    def draw(self, state: Array, act: float | None = None) -> Any:
        """A picture (H, W, 3) of bytes, or None in a window; `act`: the torque that led here, which Pendulum shows.

        Raises gymnasium's DependencyNotInstalled without pygame.
        """
        self._env.state, self._env.last_u = state, act
        return self._env.render()

    def close(self) -> None:
        """Close the window."""
        self._env.close()
