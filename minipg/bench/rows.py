"""The rows of the table by name, and how some or all of them are measured."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial

from minipg.bench import training
from minipg.bench.interleaved import Bench, Line
from minipg.bench.products import product_row
from minipg.bench.shell import shell_row
from minipg.bench.startup import memory_row, solved_row, startup_row
from minipg.errors import MinipgError, unknown_name

_TRAINED = (training.PPO_SMALL, training.PPO_LARGE, training.TRPO_LARGE, training.A2C_SMALL)
_HOPPER = (training.PPO_HOPPER, training.TRPO_HOPPER)
ROWS: dict[str, Callable[[Bench], Iterator[Line]]] = {
    **{setting.name: partial(training.training_row, setting) for setting in _TRAINED},
    "fisher-64": partial(product_row, "fisher-64", 2048, (11, 64, 64, 3), 0.60, 4),
    "fisher-256": partial(product_row, "fisher-256", 16384, (17, 256, 256, 6), 0.75, 2),
    **{setting.name: partial(training.hopper_row, setting) for setting in _HOPPER},
    "ppo-gymnasium": partial(training.training_row, training.PPO_GYMNASIUM),
    "shell-ppo": partial(shell_row, training.PPO_SMALL),
    "shell-a2c": partial(shell_row, training.A2C_SMALL),
    "startup": startup_row,
    "solved": solved_row,
    "memory": memory_row,
}
WITHOUT_GOAL = frozenset({"startup"})


def check_rows(names: Iterable[str]) -> None:
    """Raise UnknownNameError for the first name that no row has."""
    for name in names:
        if name not in ROWS:
            raise unknown_name("row", name, ROWS)


def measure(names: Iterable[str], bench: Bench, lines: list[Line]) -> bool:
    """Measure the rows and append their lines to `lines`. Returns False if Ctrl-C has come, else True.

    A row that cannot be measured here becomes a line that says why.
    """
    chosen, say = list(names), bench.say
    for index, name in enumerate(chosen, start=1):
        bench.say = partial(_say_beside, say, f"[{index}/{len(chosen)}] {name}  ")
        try:
            for line in ROWS[name](bench):
                lines.append(line)
        except MinipgError as error:
            lines.append(Line(name, "", "", None, "", note=str(error)))
        except Exception as error:  # a peer of another version may raise anything
            lines.append(Line(name, "", "", None, "", note=f"{type(error).__name__}: {error}"))
        except KeyboardInterrupt:
            return False
        if bench.stopped:
            return False
    return True


def _say_beside(say: Callable[[str], None], at: str, line: str) -> None:
    say(at + line)
