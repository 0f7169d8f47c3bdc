"""Calls into environments: what they raise is said in one line, and so is that they do not answer."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from gymnasium.error import DependencyNotInstalled

from minipg.envs.faults import Misbehaviour, describe
from minipg.errors import EnvironmentFault

_SILENCE = 30.0  # seconds
# which extra brings what an environment's own "not installed" error asks for
_EXTRAS = {"mujoco": "mujoco", "box2d": "box2d", "ale": "atari", "atari": "atari",
           "pygame": "render"}  # fmt: skip


class _Call(NamedTuple):
    since: float
    when: str


_NONE = _Call(math.inf, "")
_call = _NONE  # what this process waits for


def guarded(when: str, call: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """`call(*args)` into environments; whatever it raises becomes an EnvironmentFault that says what and `when`.

    An environment that ends the process as Python does, by SystemExit, is one that raises.
    """
    global _call
    _call = _Call(time.monotonic(), when)
    try:
        return call(*args, **options)
    except Misbehaviour as fault:
        raise EnvironmentFault(f"{fault.what} {when}: {fault.detail}") from fault
    except EnvironmentFault:
        raise
    except DependencyNotInstalled as error:  # as some notice when they are first drawn
        raise missing_extra("the environment", describe(error)) from error
    except (Exception, SystemExit) as error:  # an environment may raise anything
        raise EnvironmentFault(f"the environment raised {type(error).__name__} {when}: {describe(error)}") from error
    finally:
        _call = _NONE


@contextmanager
def silence_noticed(advice: str) -> Iterator[None]:
    """While inside, say so in one line where a guarded call does not return: it cannot be ended from here."""
    over = threading.Event()

    def watch() -> None:
        told = _NONE
        while not over.wait(_SILENCE / 10):
            now = _call
            if time.monotonic() - now.since >= _SILENCE and now != told:
                told = now
                logging.getLogger("minipg").warning(
                    f"the environments have not answered for {_SILENCE:g} s {now.when}; {advice}"
                )

    threading.Thread(target=watch, daemon=True, name="minipg-silence").start()
    try:
        yield
    finally:
        over.set()


@contextmanager
def closed_after(envs: Any) -> Iterator[None]:
    """Close the environments on the way out; what they raise then is said in one line, and undoes nothing."""
    try:
        yield
    finally:
        try:
            envs.close()
        except Exception as error:  # an environment may raise anything
            what = f"the environment raised {type(error).__name__} as it was closed: {describe(error)}"
            logging.getLogger("minipg").warning(what)


def missing_extra(what: str, reason: str) -> EnvironmentFault:
    """The error that says what to install, where the `reason` names it."""
    extra = next((extra for word, extra in _EXTRAS.items() if word in reason.lower()), None)
    if extra is None:
        return EnvironmentFault(f"{what}: {reason}")
    return EnvironmentFault(f"{what} needs an extra: pip install 'minipg-rl[{extra}]'")
