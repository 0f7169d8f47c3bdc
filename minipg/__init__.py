"""minipg: policy gradients from scratch, in NumPy and Numba. Every derivative is a formula you can read."""

import minipg.runtime.startup  # noqa: F401  (first: it concerns all imports that follow)
from minipg.algorithms import (
    A2C,
    ALGORITHMS,
    NPG,
    PPO,
    REINFORCE,
    TRPO,
    VPG,
    A2CConfig,
    NPGConfig,
    PPOConfig,
    REINFORCEConfig,
    TRPOConfig,
    VPGConfig,
)
from minipg.conjugate_gradient import conjugate_gradient
from minipg.distribution import bernoulli, categorical, gaussian, multicategorical, squashed
from minipg.errors import MinipgError
from minipg.fisher import fisher_operator, fisher_vector_product
from minipg.line_search import line_search
from minipg.network import MLP
from minipg.policy import CategoricalPolicy, GaussianPolicy, NetworkPolicy, StateGaussianPolicy
from minipg.runs import load
from minipg.runtime.backend import Backend
from minipg.value import ValueNetwork

__version__ = "0.1.0"
__all__ = [
    "A2C",
    "ALGORITHMS",
    "MLP",
    "NPG",
    "PPO",
    "REINFORCE",
    "TRPO",
    "VPG",
    "A2CConfig",
    "Backend",
    "CategoricalPolicy",
    "GaussianPolicy",
    "MinipgError",
    "NPGConfig",
    "NetworkPolicy",
    "PPOConfig",
    "REINFORCEConfig",
    "StateGaussianPolicy",
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
