"""Show episodes: in a window, in an mp4 or in a gif."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import gymnasium as gym
import numpy as np

from minipg.algorithms import Agent
from minipg.checks import Array, require
from minipg.envs import ActionMask, closed_after, guarded, make_drawn, repeatable
from minipg.envs.faults import describe
from minipg.errors import ConfigError, EnvironmentFault, RunFolderError, installing
from minipg.runs.evaluate import MAX_STEPS, endless, first_seed, require_finite, require_sense, summary
from minipg.runtime.files import write_whole

T = TypeVar("T")
HUMAN = "human"


def target_of(target: str) -> str:
    """`human` as it is, or the absolute path of the film: an environment may change the working folder.

    Raises ConfigError for anything else, or if a package is missing.
    """
    path = Path(target)
    require(
        target == HUMAN or path.suffix in _WRITERS,
        "render",
        f"human or a file that ends in {' or '.join(_WRITERS)}",
        target,
    )
    require(not path.is_dir(), "render", "a file", target)
    if path.suffix == ".mp4":
        try:
            import imageio_ffmpeg

            imageio_ffmpeg.get_ffmpeg_exe()
        except ImportError as error:
            raise ConfigError(f"render: an mp4 needs an extra, a gif does not: {installing('render')}") from error
        except RuntimeError as error:
            raise ConfigError(f"render: an mp4 needs ffmpeg: {describe(error)}") from error
    return target if target == HUMAN else str(path.absolute())


def render(
    agent: Agent[Any],
    target: str,
    episodes: int = 1,
    seed: int = 0,
    deterministic: bool = True,
    max_steps: int = MAX_STEPS,
    env: Any = None,
) -> dict[str, Any]:
    """Play `episodes` one after the other, in a window ("human") or into the file `target`. Returns as `evaluate`.

    The file is written whole or not at all. Raises ConfigError, EnvironmentFault, or RunFolderError if the file cannot
    be written, before anything is played.
    """
    require_sense(episodes, seed, max_steps)
    target = target_of(target)
    made = make_drawn(repeatable(agent.env) if env is None else env, HUMAN if target == HUMAN else "rgb_array")
    made = ActionMask(made) if agent.masked else made
    rate = float(made.metadata.get("render_fps") or 30)
    returns: list[float] = []
    frames = _play(agent, made, episodes, seed, deterministic, max_steps, returns)
    with closed_after(made):
        if target == HUMAN:
            for _ in frames:
                pass
        else:
            path = Path(target)
            write_whole(path, lambda file: _WRITERS[path.suffix](file, map(_picture, frames), rate))
    return summary(agent, returns, seed)


def _play(
    agent: Agent[Any],
    env: gym.Env[Any, Any],
    episodes: int,
    seed: int,
    deterministic: bool,
    max_steps: int,
    returns: list[float],
) -> Iterator[Any]:
    """The frames of all episodes, from the first to the last observation; their returns are appended to `returns`."""
    for episode in range(episodes):
        obs, _ = guarded("when it was reset", env.reset, seed=None if episode else first_seed(seed))
        require_finite(guarded("when it was reset", agent.observations.row, obs)[None], np.zeros(1))
        total, steps, ended = 0.0, 0, False
        yield guarded("when it was drawn", env.render)
        while not ended:
            if steps == max_steps:
                raise endless(0, max_steps)
            act, _ = agent.predict(obs, deterministic)
            obs, rew, terminated, truncated, _ = guarded("in evaluation", env.step, act)
            require_finite(guarded("in evaluation", agent.observations.row, obs)[None], np.array([rew]))
            total, steps, ended = total + float(rew), steps + 1, terminated or truncated
            yield guarded("when it was drawn", env.render)
        returns.append(total)


def _picture(frame: Any) -> Array:
    """The frame of an environment as (H, W, 3) of uint8. Raises EnvironmentFault for anything else."""
    picture = np.asarray(frame)
    if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8:
        raise EnvironmentFault(
            f"the environment drew {picture.dtype}{picture.shape}, expected uint8 (height, width, 3)"
        )
    return np.ascontiguousarray(picture)


def _write_gif(file: BinaryIO, frames: Iterator[Array], rate: float) -> None:
    from PIL import Image

    delay = max(2, round(100 / rate))  # a gif counts hundredths of a second, and viewers show 1 as 10
    images = (
        Image.fromarray(frame).quantize(256, Image.Quantize.FASTOCTREE) for frame in at_delay(frames, rate, delay)
    )
    next(images).save(file, format="GIF", save_all=True, append_images=images, duration=10 * delay, loop=0)


def at_delay(frames: Iterable[T], rate: float, delay: int) -> Iterator[T]:
    """Frames for a film with a frame every `delay` hundredths of a second, from `rate` frames a second.

    Some frames are repeated or left out.
    """
    shown = 0
    for k, frame in enumerate(frames, start=1):
        while shown * delay * rate < 100 * k:
            shown += 1
            yield frame


def _write_mp4(file: BinaryIO, frames: Iterator[Array], rate: float) -> None:
    import imageio_ffmpeg

    with tempfile.TemporaryDirectory() as folder:  # ffmpeg writes to a name, not to an open file
        path = Path(folder) / "film.mp4"
        first = next(frames)
        size = first.shape[1], first.shape[0]
        writer = imageio_ffmpeg.write_frames(str(path), size, fps=rate, macro_block_size=2, ffmpeg_log_level="error")
        writer.send(None)
        try:
            writer.send(first)
            for frame in frames:
                writer.send(frame)
        except OSError as error:  # its message is what ffmpeg printed, with the command line
            raise RunFolderError(f"cannot make the mp4: {describe(error)}") from error
        finally:
            writer.close()
        with path.open("rb") as film:
            shutil.copyfileobj(film, file)


_WRITERS: dict[str, Callable[[BinaryIO, Iterator[Array], float], None]] = {".mp4": _write_mp4, ".gif": _write_gif}
