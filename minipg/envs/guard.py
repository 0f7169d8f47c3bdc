"""Calls into environments: an exception becomes one line, and so does a call that does not return."""

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
from minipg.errors import EnvironmentFault, installing

_SILENCE = 30.0  # seconds
# words of "not installed" errors, and the extra that installs what is missing
_EXTRAS = {"mujoco": "mujoco", "box2d": "box2d", "ale": "atari", "atari": "atari", "pygame": "render"}


class _Call(NamedTuple):
    since: float
    when: str


_NONE = _Call(math.inf, "")
_call = _NONE  # the call in progress


def guarded(when: str, call: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """`call(*args)` into environments. An exception becomes an EnvironmentFault that says what was raised, and `when`.

    Only an interrupt is none of the environment's exceptions.
    """
    global _call
    _call = _Call(time.monotonic(), when)
    try:
        return call(*args, **options)
    except Misbehaviour as fault:
        raise EnvironmentFault(f"{fault.what} {when}: {fault.detail}") from fault
    except EnvironmentFault:
        raise
    except DependencyNotInstalled as error:  # some import their packages when they first draw
        raise missing_extra("the environment", describe(error)) from error
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # an environment may raise anything
        raise EnvironmentFault(f"the environment raised {type(error).__name__} {when}: {describe(error)}") from error
    finally:
        _call = _NONE


@contextmanager
def silence_noticed(advice: str) -> Iterator[None]:
    """While inside, log one line, with `advice`, if a guarded call takes more than 30 s: it cannot be stopped here."""
    over = threading.Event()

    def watch() -> None:
        logged = _NONE
        while not over.wait(_SILENCE / 10):
            now = _call
            if time.monotonic() - now.since >= _SILENCE and now != logged:
                logged = now
                what = f"the environments have not answered for {_SILENCE:g} s {now.when}; {advice}"
                logging.getLogger("minipg").warning(what)

    threading.Thread(target=watch, daemon=True, name="minipg-silence").start()
    try:
        yield
    finally:
        over.set()


@contextmanager
def closed_after(envs: Any) -> Iterator[None]:
    """Close the environments on the way out. An exception while closing is logged in one line and goes no further."""
    try:
        yield
    finally:
        try:
            envs.close()
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # an environment may raise anything
            what = f"the environment raised {type(error).__name__} as it was closed: {describe(error)}"
            logging.getLogger("minipg").warning(what)


def missing_extra(what: str, reason: str) -> EnvironmentFault:
    """The error for a missing package: it names the extra to install if `reason`, the original message, tells which."""
    extra = next((extra for word, extra in _EXTRAS.items() if word in reason.lower()), None)
    if extra is None:
        return EnvironmentFault(f"{what}: {reason}")
    return EnvironmentFault(f"{what} needs an extra: {installing(extra)}")
