"""A picture of a search: the scores of its trials, and the score against each of the most important settings."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from minipg.algorithms.config import Choices, LogRange
from minipg.runs.pictures import BLUE, GREY, ORANGE, VERMILLION, legend_below, picture
from minipg.runs.search import best_of, ended

_SETTINGS = 5  # with a panel each
_STAR: dict[str, Any] = {"marker": "*", "ls": "", "color": ORANGE, "ms": 16, "mec": "black", "mew": 0.6}


def draw_search(study: Any, space: Mapping[str, LogRange | Choices], title: str, path: Path) -> None:
    """Draw the trials of a study that have ended, at least one of them complete."""
    trials, best = ended(study), best_of(study)
    names = _by_importance(study, space)[:_SETTINGS]
    with picture(path, 1 + len(names), columns=3, size=(5, 3.8)) as (figure, panels):
        figure.suptitle(f"{title}: {len(trials)} trials, best score {best.value:.1f}", fontsize=14)
        _draw_trials(panels[0], trials)
        for panel, name in zip(panels[1:], names, strict=True):
            _draw_setting(panel, [trial for trial in trials if name in trial.params], name, space[name], best)
            panel.set(title=name, ylabel="score")
        for trial in trials:
            if "preset" in trial.user_attrs and trial.state.name == "COMPLETE":
                for panel in panels:
                    panel.axhline(trial.value, color="black", ls="--", lw=1, label="the preset")
        panels[0].plot(trials.index(best), best.value, label="the best", **_STAR)
        legend_below(panels[0], columns=2)


def _by_importance(study: Any, space: Mapping[str, LogRange | Choices]) -> list[str]:
    """The searched settings, those first that tell the best trials from the others."""
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of few trials
            found = get_param_importances(study, evaluator=PedAnovaImportanceEvaluator(), params=list(space))
    except (RuntimeError, ValueError):  # too few trials
        return list(space)
    return sorted(space, key=lambda name: -found[name])


def _draw_trials(panel: Any, trials: Sequence[Any]) -> None:
    kinds = {"COMPLETE": ("complete", BLUE, "o"), "PRUNED": ("stopped early: last return", GREY, "."),
             "FAIL": ("failed", VERMILLION, "x")}  # fmt: skip
    scores = np.array([trial.value if trial.state.name == "COMPLETE" else -np.inf for trial in trials])
    lowest = min(_value(trial) for trial in trials if trial.state.name != "FAIL")
    for state, (label, colour, marker) in kinds.items():
        here = [(at, trial) for at, trial in enumerate(trials) if trial.state.name == state]
        values = [lowest if state == "FAIL" else _value(trial) for _, trial in here]
        if here:
            panel.plot([at for at, _ in here], values, marker, color=colour, label=label, ms=5)
    so_far = np.maximum.accumulate(scores)
    panel.plot(
        np.where(np.isfinite(so_far), so_far, np.nan), color=ORANGE, lw=2, drawstyle="steps-post", label="best so far"
    )
    panel.set(xlabel="trial", ylabel="score", title="score of each trial")


def _draw_setting(panel: Any, trials: Sequence[Any], name: str, values: LogRange | Choices, best: Any) -> None:
    spread = np.random.default_rng(0).uniform(-0.18, 0.18, len(trials))
    for kind, colour, marker in (("PRUNED", GREY, "."), ("COMPLETE", BLUE, "o")):
        here = [(trial, aside) for trial, aside in zip(trials, spread, strict=True) if trial.state.name == kind]
        at = [_place(trial.params[name], values, aside) for trial, aside in here]
        panel.plot(at, [_value(trial) for trial, _ in here], marker, color=colour, alpha=0.7, ms=5)
    if name in best.params:
        panel.plot(_place(best.params[name], values, 0), best.value, **_STAR)
    if isinstance(values, LogRange):
        panel.set_xscale("log")
        panel.xaxis.set_major_formatter("{x:g}")
    else:
        panel.set_xticks(range(len(values)), [str(value) for value in values])


def _place(value: Any, values: LogRange | Choices, aside: float) -> float:
    """Where a value is on the horizontal axis; choices are side by side, their trials spread a little."""
    return float(value) if isinstance(values, LogRange) else values.index(value) + aside


def _value(trial: Any) -> float:
    """The score of a trial; of one that was stopped, its last evaluation."""
    return float(trial.value)
