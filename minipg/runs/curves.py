"""Learning curves of many runs: an interquartile mean over seeds and its bootstrap interval."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from minipg.checks import Array
from minipg.errors import RunFolderError
from minipg.runs.folder import RunFolder
from minipg.runs.metrics import read_columns
from minipg.runs.pictures import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    SKY_BLUE,
    VERMILLION,
    label_steps,
    legend_below,
    picture,
)
from minipg.runtime.progress import printable

COLOURS = {"reinforce": GREY, "vpg": SKY_BLUE, "a2c": ORANGE, "npg": GREEN, "trpo": BLUE, "ppo": VERMILLION,
           "dppo": PURPLE, "ddpg": SKY_BLUE, "td3": PURPLE}  # fmt: skip
_WIDTH = 45  # letters of a title across a panel
_POINTS, _RESAMPLES, _INTERVAL = 200, 1000, (2.5, 97.5)


class Curve(NamedTuple):
    """The mean return of the last 100 episodes of one run, after so many environment steps; both (T,).

    `settings` are those of the algorithm, as text: to notice runs that differ by more than their seed.
    """

    algorithm: str
    env: str
    seed: int
    steps: Array
    returns: Array
    settings: str = ""


class Band(NamedTuple):
    """An interquartile mean over runs and its 95 % bootstrap interval, after so many steps; all (T,)."""

    steps: Array
    middle: Array
    low: Array
    high: Array


def curve_of(folder: RunFolder) -> Curve:
    """The curve of a run. Raises RunFolderError if no episode has ended."""
    config = folder.config()
    columns = read_columns(folder.metrics, "steps", "mean_return")
    if not {"steps", "mean_return"} <= columns.keys():
        raise RunFolderError(f"{folder.shown}: nothing to draw: no episode has ended yet")
    ended = np.isfinite(columns["mean_return"])
    steps, returns = columns["steps"][ended], columns["mean_return"][ended]
    try:
        settings = json.dumps(config["config"], sort_keys=True)
        algorithm, env = printable(config["algorithm"], 40), printable(config["env"], 60)
        return Curve(algorithm, env, int(config["seed"]), steps, returns, settings)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise RunFolderError(f"{folder.shown / 'config.json'}: damaged ({error!r})") from error


def interquartile(curves: Sequence[Curve]) -> Band:
    """The mean over runs, without the highest and the lowest quarter, at common steps by interpolation.

    At every step it is over the runs that are long enough; steps that only half of the runs or fewer reach are left
    out. The interval is between percentiles of the same mean over runs that are drawn with replacement.
    """
    from scipy.stats import trim_mean

    rng = np.random.default_rng(0)
    steps = np.linspace(0, max(curve.steps[-1] for curve in curves), _POINTS + 1)[1:]
    values = np.stack([np.interp(steps, curve.steps, curve.returns, np.nan, np.nan) for curve in curves])
    covered = ~np.isnan(values)
    middle, low, high = np.full((3, len(steps)), np.nan)
    for runs in np.unique(covered, axis=1).T:
        if 2 * runs.sum() > len(runs):
            here = (covered == runs[:, None]).all(axis=0)
            those = values[np.ix_(runs, here)]
            drawn = those[rng.integers(0, len(those), (_RESAMPLES, len(those)))]
            middle[here] = trim_mean(those, 0.25, axis=0)
            low[here], high[here] = np.percentile(trim_mean(drawn, 0.25, axis=1), _INTERVAL, axis=0)
    shown = ~np.isnan(middle)
    return Band(steps[shown], middle[shown], low[shown], high[shown])


def mixed(curves: Sequence[Curve]) -> list[str]:
    """The lines of a picture that would be means over runs of different settings."""
    settings: dict[tuple[str, str], set[str]] = {}
    for curve in curves:
        settings.setdefault((curve.algorithm, curve.env), set()).add(curve.settings)
    return [f"{algorithm} on {env}" for (algorithm, env), several in settings.items() if len(several) > 1]


def draw_curves(curves: Sequence[Curve], path: Path) -> None:
    """Draw a panel for each environment, with a line for each algorithm and its number of seeds."""
    envs = list(dict.fromkeys(curve.env for curve in curves))
    with picture(path, len(envs), columns=3, size=(5.4, 4.3)) as (figure, panels):
        for panel, env in zip(panels, envs, strict=True):
            _draw_panel(panel, [curve for curve in curves if curve.env == env])
            panel.set_title(textwrap.fill(env, _WIDTH))
        title = "Interquartile mean over seeds (their number)\nband: 95 % bootstrap interval"
        figure.suptitle(title if len(envs) == 1 else title.replace("\n", ", "), fontsize=13)


def _draw_panel(panel: Any, curves: list[Curve]) -> None:
    names = {curve.algorithm for curve in curves}
    for name in [*(known for known in COLOURS if known in names), *sorted(names - COLOURS.keys())]:
        runs = [curve for curve in curves if curve.algorithm == name]
        band, colour = interquartile(runs), COLOURS.get(name, "#000000")
        panel.plot(band.steps, band.middle, color=colour, lw=2, label=f"{name} ({len({run.seed for run in runs})})")
        panel.fill_between(band.steps, band.low, band.high, color=colour, alpha=0.2, lw=0)
    panel.set(ylabel="return, last 100 episodes", xlim=(0, None))
    label_steps(panel)
    legend_below(panel, columns=3)
