"""minipg: policy gradients from scratch, in NumPy and Numba. Every derivative is a formula you can read."""

import os
import sys
from contextlib import nullcontext
from importlib import import_module
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import TYPE_CHECKING, Any

import minipg.runtime.startup  # noqa: F401  (first: it concerns all imports that follow)
from minipg.runtime.modules import imports_for

if TYPE_CHECKING:
    from minipg.algorithms import (
        A2C,
        A3C,
        ALGORITHMS,
        DDPG,
        DPG,
        DPPO,
        NPG,
        PPO,
        REINFORCE,
        TD3,
        TRPO,
        VPG,
        A2CConfig,
        A3CConfig,
        DDPGConfig,
        DPGConfig,
        DPPOConfig,
        NPGConfig,
        PPOConfig,
        REINFORCEConfig,
        TD3Config,
        TRPOConfig,
        VPGConfig,
    )
    from minipg.conjugate_gradient import conjugate_gradient
    from minipg.deterministic import DeterministicPolicy
    from minipg.distribution import bernoulli, categorical, gaussian, multicategorical, squashed
    from minipg.errors import MinipgError
    from minipg.fisher import fisher_operator, fisher_vector_product
    from minipg.line_search import line_search
    from minipg.network import MLP
    from minipg.policy import CategoricalPolicy, GaussianPolicy, NetworkPolicy, StateGaussianPolicy
    from minipg.q_value import QNetwork
    from minipg.runs import load
    from minipg.runtime.backend import Backend
    from minipg.value import ValueNetwork
__version__ = "0.1.0"
__all__ = [
    "A2C",
    "A3C",
    "ALGORITHMS",
    "DDPG",
    "DPG",
    "DPPO",
    "MLP",
    "NPG",
    "PPO",
    "REINFORCE",
    "TD3",
    "TRPO",
    "VPG",
    "A2CConfig",
    "A3CConfig",
    "Backend",
    "CategoricalPolicy",
    "DDPGConfig",
    "DPGConfig",
    "DPPOConfig",
    "DeterministicPolicy",
    "GaussianPolicy",
    "MinipgError",
    "NPGConfig",
    "NetworkPolicy",
    "PPOConfig",
    "QNetwork",
    "REINFORCEConfig",
    "StateGaussianPolicy",
    "TD3Config",
    "TRPOConfig",
    "VPGConfig",
    "ValueNetwork",
    "bernoulli",
    "categorical",
    "conjugate_gradient",
    "fisher_operator",
    "fisher_vector_product",
    "gaussian",
    "line_search",
    "load",
    "multicategorical",
    "squashed",
]

# Names are imported on first use (PEP 562), so that `import minipg.gradient_check` needs NumPy alone.
_MODULES = {
    "algorithms": (
        "A2C A3C ALGORITHMS DDPG DPG DPPO NPG PPO REINFORCE TD3 TRPO VPG A2CConfig A3CConfig DDPGConfig DPGConfig "
        "DPPOConfig NPGConfig PPOConfig REINFORCEConfig TD3Config TRPOConfig VPGConfig"
    ),
    "conjugate_gradient": "conjugate_gradient",
    "deterministic": "DeterministicPolicy",
    "distribution": "bernoulli categorical gaussian multicategorical squashed",
    "errors": "MinipgError",
    "fisher": "fisher_operator fisher_vector_product",
    "line_search": "line_search",
    "network": "MLP",
    "q_value": "QNetwork",
    "policy": "CategoricalPolicy GaussianPolicy NetworkPolicy StateGaussianPolicy",
    "runs": "load",
    "runtime.backend": "Backend",
    "value": "ValueNetwork",
}
if find_spec("minipg.kernels") is None:  # in a checkout that is not installed in place, they are beside minipg/
    __path__.append(os.path.dirname(os.path.dirname(__file__)))
_MODULE_OF = {name: f"minipg.{module}" for module, names in _MODULES.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    if name in _MODULE_OF:
        with imports_for("numpy") if name == "load" else nullcontext():  # a session may be in the file's folder
            globals()[name] = value = getattr(import_module(_MODULE_OF[name]), name)
        return value
    if not name.startswith("_") and find_spec(f"minipg.{name}"):
        return import_module(f"minipg.{name}")
    raise AttributeError(f"module 'minipg' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class _Package(ModuleType):
    """`minipg.line_search` is the function, although importing its module sets the attribute to the module."""

    def __setattr__(self, name: str, value: Any) -> None:
        shadowed = isinstance(value, ModuleType) and _MODULE_OF.get(name) == value.__name__
        super().__setattr__(name, getattr(value, name) if shadowed else value)


class _RegisterEnvironments:
    """Registers minipg/CartPole-v1 and the others when Gymnasium is imported, which has no plugins of its own."""

    @classmethod
    def find_spec(cls, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if name != "gymnasium":
            return None
        sys.meta_path.remove(cls)
        spec = find_spec(name)
        if spec and spec.loader:
            load = spec.loader.exec_module

            def load_and_register(module: ModuleType) -> None:
                load(module)
                import_module("minipg.envs")

            spec.loader.exec_module = load_and_register  # type: ignore[method-assign]
        return spec


sys.modules[__name__].__class__ = _Package
if "gymnasium" in sys.modules:
    import_module("minipg.envs")
else:
    sys.meta_path.insert(0, _RegisterEnvironments)
