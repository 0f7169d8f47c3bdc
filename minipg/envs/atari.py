"""Atari games of the Arcade Learning Environment, seen as frames."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.utils import RecordConstructorArgs

from minipg.checks import Array, require
from minipg.envs.faults import LIFE_LOST
from minipg.envs.frames import FRAMES, Shrink
from minipg.envs.recipe import Env, Recipe
from minipg.envs.recipe_file import with_ale
from minipg.errors import ConfigError, unknown_name

_ALE, _VERSION = "ALE/", "-v5"
# arguments of ale_py's: the screens are read from the emulator, and memory is the shortest observation beside them
FIXED: dict[str, Any] = {"obs_type": "ram", "frameskip": 1, "max_num_frames_per_episode": 0}
MAX_STEPS = 27_000  # half an hour of play: 108 000 frames with a frame skip of 4


def atari(
    game: str,
    frames: str = "stack-84x84x4",
    *,
    frame_skip: int = 4,
    sticky: float = 0.0,
    noop_max: int = 30,
    life_loss: bool = False,
    max_episode_steps: int = MAX_STEPS,
    wrappers: Sequence[tuple[Callable[..., Env], dict[str, Any]]] = (),
    **of_ale: Any,
) -> Recipe:
    """What an agent takes as its environment: a game ("Pong" or "ALE/Pong-v5"), seen as frames of a kind in FRAMES.

    frame_skip: frames of the emulator that an action lasts, 2 or more. sticky: the probability that the emulator
    repeats the action before instead, in every frame (Machado et al. 2018, arXiv:1709.06009: 0.25). noop_max: a game
    begins with 1 to so many frames without an action, at random. life_loss: a lost life ends an episode for learning,
    while the game continues. max_episode_steps: actions after which a game is truncated. `wrappers` are put around, and
    `of_ale` are further arguments of ale_py's (mode, difficulty, full_action_space).
    Raises UnknownNameError for another game, ConfigError for other settings, EnvironmentFault without ale_py.

        PPO(atari("Breakout", life_loss=True), vec="envpool", clip_reward=True)
    """
    name = game.removeprefix(_ALE).removesuffix(_VERSION)
    with_ale(f"{_ALE}{name}{_VERSION}")
    known = [i[len(_ALE) : -len(_VERSION)] for i in gym.registry if i.startswith(_ALE) and i.endswith(_VERSION)]
    if name not in known:
        raise unknown_name("Atari game, as Pong or ALE/Pong-v5, which frames are of,", game, known)
    settings: dict[str, Any] = {
        "frames": frames, "frame_skip": frame_skip, "noop_max": noop_max, "life_loss": life_loss,
        "max_episode_steps": max_episode_steps,
    }  # fmt: skip
    _require(name, **settings)
    require(isinstance(sticky, float | int) and 0 <= sticky < 1, "sticky", "a number from 0, below 1", sticky)
    own = {**FIXED, "repeat_action_probability": float(sticky)}
    expected = "frame_skip, sticky and max_episode_steps in place of ale_py's arguments, with frames"
    require(not of_ale.keys() & own.keys(), "env_kwargs", expected, ", ".join(of_ale))
    spec = gym.registry[f"{_ALE}{name}{_VERSION}"]
    spec = replace(spec, kwargs={**spec.kwargs, **of_ale, **own})
    return Recipe(spec, ((AtariFrames, settings), *wrappers))


def _require(game: str, frames: str, frame_skip: int, noop_max: int, life_loss: bool, max_episode_steps: int) -> None:
    if frames not in FRAMES:
        raise unknown_name("kind of frames", str(frames), FRAMES)
    if FRAMES[frames].difference and game.lower() != "pong":
        raise ConfigError(f"frames: {frames} knows the background of Pong alone, got {game}; others take any game")
    least = {"frame_skip": (frame_skip, 2), "noop_max": (noop_max, 1), "max_episode_steps": (max_episode_steps, 1)}
    for name, (value, lowest) in least.items():
        require(type(value) is int and value >= lowest, name, f"an integer ≥ {lowest}", value)
    require(type(life_loss) is bool, "life_loss", "True or False", life_loss)


class AtariFrames(gym.Wrapper[Array, int, Any, int], RecordConstructorArgs):
    """Frames of an Atari game, around an ale_py environment with a frame skip of its own of 1. Arguments as of `atari`.

    A lost life is info["minipg.life_lost"], which the collector makes the end of an episode for learning. `terminated`
    is the end of the game, so returns are scores.
    """

    def __init__(
        self,
        env: Env,
        frames: str,
        frame_skip: int = 4,
        noop_max: int = 30,
        life_loss: bool = False,
        max_episode_steps: int = MAX_STEPS,
    ) -> None:
        settings: dict[str, Any] = {
            "frames": frames, "frame_skip": frame_skip, "noop_max": noop_max, "life_loss": life_loss,
            "max_episode_steps": max_episode_steps,
        }  # fmt: skip
        RecordConstructorArgs.__init__(self, **settings)
        gym.Wrapper.__init__(self, env)
        base: Any = env.unwrapped
        if not hasattr(base, "ale"):
            raise ConfigError(f"frames: expected an Atari game of ale_py, got {env}")
        _require(base._game, **settings)
        self.frames, self.frame_skip, self.noop_max = FRAMES[frames], frame_skip, noop_max
        self.life_loss, self.max_episode_steps = life_loss, max_episode_steps
        self.observation_space = self.frames.space
        size = base.ale.getScreenDims()
        self._shrink = Shrink(size, (self.frames.height, self.frames.width))
        self._last = np.zeros((2, *size), np.uint8)  # the last two screens of the emulator
        self._screens = np.zeros((1, self.frames.stack, *self.frames[:2]), np.uint8)
        self._steps = self._lives = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Array, dict[str, Any]]:
        """The first frames of a new game, after 1 to noop_max frames without an action."""
        _, info = self.env.reset(seed=seed, options=options)
        for _ in range(int(self.unwrapped.np_random.integers(1, self.noop_max + 1))):
            _, _, terminated, truncated, info = self.env.step(0)
            if terminated or truncated:
                _, info = self.env.reset()
        self._read(0)
        self._last[1] = self._last[0]
        self._shrink(self._last, self._screens[0, -1])
        self._screens[0, :-1] = self._screens[0, -1]
        self._steps, self._lives = 0, info["lives"]
        return self.frames.seen(self._screens)[0], info

    def step(self, action: int) -> tuple[Array, float, bool, bool, dict[str, Any]]:
        """`frame_skip` frames with the same action, or fewer where the game ends; their rewards are added.

        The last two screens take two places in turn. Where a game ends, its last screen is in both.
        """
        total = 0.0
        for k in range(self.frame_skip):
            _, reward, terminated, truncated, info = self.env.step(action)
            total += float(reward)
            ended = terminated or truncated
            if ended or k >= self.frame_skip - 2:
                self._read(k % 2)
            if ended:
                self._last[1 - k % 2] = self._last[k % 2]
                break
        self._screens[0, :-1] = self._screens[0, 1:]
        self._shrink(self._last, self._screens[0, -1])
        self._steps, lives = self._steps + 1, info["lives"]
        truncated = truncated or (not terminated and self._steps >= self.max_episode_steps)
        # some games play on for some frames with no life left, and end then
        lost = self.life_loss and 0 < lives < self._lives and not (terminated or truncated)
        self._lives = lives
        return self.frames.seen(self._screens)[0], total, terminated, truncated, {**info, LIFE_LOST: lost}

    def _read(self, k: int) -> None:
        base: Any = self.unwrapped
        base.ale.getScreenGrayscale(self._last[k])
