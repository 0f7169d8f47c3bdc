"""NamedTuples that group the arguments of kernels. They are the same in every twin; Numba accepts them.

The axis letters are in `kernels/__init__.py`.
"""

from typing import Any, NamedTuple

import numpy as np

MASKED = -1e9  # the logit of a forbidden action: finite, as 0 times −∞ is no number
IMPOSSIBLE = -1e3  # a logit so far below the largest has probability 0 in either precision


class Conv(NamedTuple):
    """The shape of one convolution layer (`conv.py`)."""

    height: int  # of the input, with `width` and `channels`
    width: int
    channels: int
    kernel: int  # a window is kernel × kernel
    stride: int
    top: int  # rows of zeros above the input, and columns left of it
    left: int
    rows: int  # of the output, with `columns` and `filters`
    columns: int
    filters: int


class DenseLayers(NamedTuple):
    """Every layer is a matrix product."""

    options: tuple[()] = ()


class SparseInput(NamedTuple):
    """Dense layers, of which the first skips the zeros of rows that are mostly zero."""

    options: tuple[()] = ()


class ConvLayers(NamedTuple):
    """The first layers are convolutions."""

    options: tuple[()] = ()


BLOCK, LONG_BLOCK = 128, 1024  # rows of a block: the activations of the shorter fit in a core's fastest caches


def block_rows(sizes, n_params):
    """The rows that compiled code takes through a network at once, from the layer sizes and the length of θ.

    The gradient of a block has as many numbers as θ, so a block is long where its activations are fewer.
    """
    return BLOCK if n_params < LONG_BLOCK * sum(sizes[1:]) else LONG_BLOCK


class Network(NamedTuple):
    """Convolutions, if there are any, then dense layers (`mlp.py`)."""

    sizes: Any  # (L+1,) int64, numbers in each layer from the input to the output
    activation: int  # 0 tanh, 1 ReLU
    convs: Any = np.zeros((0, len(Conv._fields)), np.int64)  # the first layers, one `Conv` in a row
    scale: float = 1.0  # of the inputs: the network sees scale·obs
    block: int = BLOCK  # `block_rows`, of compiled code
    kind: Any = DenseLayers()  # one of the three above: its type chooses the kernels of a layer (`mlp.py`)


class Categorical(NamedTuple):
    """One choice among A, from logits."""

    options: tuple[()] = ()


class Multicategorical(NamedTuple):
    """A independent choices, from their logits, concatenated."""

    options: tuple[Any]  # the number of options of each choice, (A,) int64


class Bernoulli(NamedTuple):
    """A independent bits, from logits."""

    options: tuple[()] = ()


class Gaussian(NamedTuple):
    """A independent normal numbers, from (μ, log σ)."""

    options: tuple[()] = ()


class Squashed(NamedTuple):
    """tanh of a Gaussian, from (μ, log σ)."""

    options: tuple[()] = ()


class PolicySpec(NamedTuple):
    """A network, and how its outputs become a distribution (`distribution_params.py`)."""

    network: Network
    family: Any  # one of the five above: its type chooses the kernels (`distribution.py`)
    form: int  # 0: the outputs are the parameters; 1: log σ is the tail of θ; 2: log σ from the outputs; 3: a mask
    log_std_range: tuple[float, float]


class ForwardPass(NamedTuple):
    """A forward pass of a policy: its inputs and outputs, kept for the derivatives."""

    obs: Any  # (B, O)
    hidden: Any  # the activations that `mlp.forward` wrote, in an order private to its twin
    out: Any  # (B, n) of the network
    params: Any  # (B, D) of the distributions


class Acted(NamedTuple):
    """Rows of a batch in which the old policy acted: observations, its actions, advantages, its distributions."""

    obs: Any  # (B, O)
    act: Any  # (B, …)
    adv: Any  # (B,)
    params: Any  # (B, D) of the old policy's distributions


class SurrogateTerms(NamedTuple):
    """The clip range, and the weights of the surrogate's other terms  (PP-1, PP-2, PP-3)."""

    clip_range: float  # ε, inf for no clip
    kl_coef: float  # β
    ent_coef: float  # c


class Adam(NamedTuple):
    """Settings of Adam  (AC-3)."""

    learning_rate: float
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8


class RMSProp(NamedTuple):
    """Settings of RMSProp  (AC-3)."""

    learning_rate: float
    decay: float = 0.99
    epsilon: float = 1e-5


class Epochs(NamedTuple):
    """Settings of several epochs over a batch, of the policy or of the critic."""

    minibatch_size: int
    adam: Adam
    max_grad_norm: float  # a longer gradient is scaled to this norm


class Steps(NamedTuple):
    """T steps of N environments, and the observations that followed them."""

    obs: Any  # (T, N, O)
    last_obs: Any  # (N, O), after the last step; of a new episode where one ended there
    final_obs: Any  # (K, O), the last observations of the K episodes that were truncated before
    final_at: Any  # (K,) int64, the flat rows t·N + n they followed
    rew: Any  # (T, N)
    terminated: Any  # (T, N) bool
    cut: Any  # (T, N) bool: True where the GAE sum stops but still bootstraps from V
