"""When a run ends and what of it is saved: the flags of `minipg train` that are no settings of an algorithm."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from minipg.checks import require, require_types
from minipg.errors import ConfigError
from minipg.runs.tensorboard import require_tensorboard


@dataclass(frozen=True, kw_only=True)
class Plan:
    """When a run ends, and what of it is saved."""

    steps: int = 100_000
    """Environment steps in all; rollouts are whole, so the last one may exceed this a little."""
    checkpoint_every: str = "60s"
    """How often the whole state is saved: in steps (20000) or seconds (60s)."""
    keep_checkpoints: int = 3
    """How many of the last checkpoints are kept, besides the best one."""
    eval_every: int | None = None
    """Evaluate every so many steps; the best checkpoint is then the best one evaluated."""
    eval_episodes: int = 10
    """Whole deterministic episodes of an evaluation."""
    target_return: float | None = None
    """End the run when the evaluation, or without evaluations the last 100 episodes, reach this mean return."""
    tensorboard: bool = False
    """Write the metrics for TensorBoard too, into the run folder (needs the extra `tensorboard`)."""

    def __post_init__(self) -> None:
        require_types(self)
        for name in ("steps", "keep_checkpoints", "eval_every", "eval_episodes"):
            value = getattr(self, name)
            require(value is None or 1 <= value < 2**63, name, "an integer ≥ 1", value)
        target = self.target_return
        require(target is None or math.isfinite(target), "target_return", "a finite number", target)
        self.due(0)
        if self.tensorboard:
            require_tensorboard()

    def due(self, since: int) -> Callable[[int], bool]:
        """A function of the agent's steps that is True when the next checkpoint is due. Raises ConfigError."""
        text = self.checkpoint_every
        seconds = text.endswith("s")
        try:
            every = float(text[:-1]) if seconds else int(text)
        except ValueError:
            every = math.nan
        if not 0 < every < math.inf:
            raise ConfigError(f"checkpoint_every: expected steps (20000) or seconds (60s), got {text!r}")
        last = time.perf_counter() if seconds else since // int(every) * int(every)

        def due(steps: int) -> bool:
            nonlocal last
            now = time.perf_counter() if seconds else steps
            if now - last < every:
                return False
            last = now if seconds else steps // int(every) * int(every)
            return True

        return due
