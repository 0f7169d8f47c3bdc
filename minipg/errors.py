"""The errors a caller can cause. Each message names what was expected and what was found."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import SequenceMatcher

_NEAR = 0.5  # the least similarity, from 0 to 1, for a known name to be suggested
_FEW = 12  # up to so many known names are listed in full

# a name in stable-baselines3, CleanRL, Spinning Up or papers → the names here, of which one kind of thing has some;
# empty where nothing here is like it
_ELSEWHERE = {
    "lr": ("learning_rate", "vf_learning_rate"), "total_timesteps": ("total_steps", "steps", "learn(total_steps=N)"),
    "timesteps": ("total_steps", "steps"),
    "n_envs": ("num_envs",), "num_steps": ("n_steps",), "net_arch": ("hidden",), "activation_fn": ("activation",),
    "ent_coeff": ("ent_coef",), "entropy_coef": ("ent_coef",), "lam": ("gae_lambda",), "lambda": ("gae_lambda",),
    "discount": ("gamma",), "clip_coef": ("clip_range",), "clip_range_vf": ("vf_clip_range",),
    "update_epochs": ("n_epochs",), "batch_size": ("minibatch_size",), "num_minibatches": ("minibatch_size",),
    "norm_adv": ("normalize_advantage",), "anneal_lr": ("schedule",), "lr_schedule": ("schedule",),
    "target_kl": ("max_kl",), "delta": ("max_kl",), "cg_damping": ("damping",), "cg_max_steps": ("cg_iters",),
    "line_search_shrinking_factor": ("backtrack_coeff",), "line_search_max_iter": ("backtrack_iters",),
    "n_critic_updates": ("vf_epochs",), "sub_sampling_factor": ("fisher_subsample",), "device": ("backend",),
    "pi_lr": ("learning_rate",), "vf_lr": ("vf_learning_rate",), "hidden_sizes": ("hidden",),
    "schedule": ("vf_schedule",), "policy": ("hidden", "activation"), "policy_kwargs": ("hidden", "activation"),
    "tensorboard_log": ("tensorboard", "learn(on_update=TensorBoard(folder))"), "callback": ("on_update",),
    "verbose": ("progress", "learn(progress=True)"), "progress_bar": ("progress",), "log_interval": ("every",),
    "reset_num_timesteps": ("of",), "sac": (), "dqn": (), "vf_coef": (), "use_sde": (),
}  # fmt: skip


class MinipgError(Exception):
    """Any error that minipg raises on purpose. The command line prints it in one line and exits with status 2."""


class ShapeError(MinipgError, ValueError):
    """An array of the wrong shape or kind of number."""


class ConfigError(MinipgError, ValueError):
    """A setting outside its range."""


class BackendError(MinipgError):
    """A backend that cannot compute on this machine."""


class UnknownNameError(MinipgError, LookupError):
    """A name that is not among the known ones."""


class EnvironmentFault(MinipgError):
    """An environment that cannot be made, cannot be used, or returned something impossible."""


class AgentFileError(MinipgError):
    """An agent file that is damaged, written by something else, or made for another environment or algorithm."""


class RunFolderError(MinipgError):
    """A run folder that exists already, does not exist, or cannot be written."""


def installing(extra: str) -> str:
    """The command that installs an extra, for the errors that need one."""
    return f"pip install 'minipg-rl[{extra}]', or in a checkout pip install '.[{extra}]'"


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UnknownNameError:
    """The error for an unknown name. It suggests the most similar known names, or lists all if they are few."""
    names = sorted(known)
    if near := _near(name, names):
        return UnknownNameError(f"unknown {kind} {name!r}; did you mean {' or '.join(near)}?")
    listed = f"; expected {', '.join(names)}" if len(names) <= _FEW else ""
    return UnknownNameError(f"unknown {kind} {name!r}{listed}")


def _near(name: str, names: list[str]) -> list[str]:
    plain = _plain(name)
    same = [known for known in names if _plain(known) == plain]
    same += [known for known in names if known.removeprefix("--").replace("-", "_") in _ELSEWHERE.get(plain, ())]
    if same or plain in _ELSEWHERE:
        return same

    def likeness(known: str) -> tuple[float, float]:
        # compare without the version first: two names are not similar because both end in -v1
        stems = _stem(plain), _stem(_plain(known))
        return SequenceMatcher(None, *stems).ratio(), SequenceMatcher(None, plain, _plain(known)).ratio()

    likest = sorted(((likeness(known), known) for known in names), reverse=True)[:3]
    return [known for (stem, _), known in likest if stem >= _NEAR]


def _plain(name: str) -> str:
    """A name in lower case, with underscores for dashes, and without the dashes of a flag."""
    return name.lower().removeprefix("--").replace("-", "_")


def _stem(plain: str) -> str:
    return re.sub(r"_v\d+$", "", plain)
