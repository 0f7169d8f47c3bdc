"""The functions of every distribution. The type of `family` (`arguments.py`) chooses the file with the equations."""

from minipg.kernels.arguments import Bernoulli, Categorical, Gaussian, Multicategorical, Squashed
from minipg.kernels.reference import bernoulli, categorical, gaussian, multicategorical, squashed

FAMILIES = {
    Bernoulli: bernoulli,
    Categorical: categorical,
    Gaussian: gaussian,
    Multicategorical: multicategorical,
    Squashed: squashed,
}


def _functions(family):
    """The file of a family; one of the reader's own brings its functions itself (minipg/distribution.py)."""
    return FAMILIES.get(type(family), family)


def sample(family, params, noise, act):
    """a ~ π, from uniforms (discrete) or normals (Gaussian).   params (B, D), noise (B, …) → act (B, …)."""
    _functions(family).sample(params, noise, *family.options, act)


def log_prob(family, params, act, out):
    """log π(a)  (DI-4).   params (B, D), act (B, …) → out (B,)."""
    _functions(family).log_prob(params, act, *family.options, out)


def score(family, params, act, out):
    """∇log π(a) in the parameters  (DI-1, DI-4).   params (B, D), act (B, …) → out (B, D)."""
    _functions(family).score(params, act, *family.options, out)


def kl(family, old, new, out):
    """KL(old‖new)  (DI-6).   old, new (B, D) → out (B,)."""
    _functions(family).kl(old, new, *family.options, out)


def kl_gradient(family, old, new, out):
    """The gradient of KL(old‖new) in the new parameters  (DI-6).   old, new (B, D) → out (B, D)."""
    _functions(family).kl_gradient(old, new, *family.options, out)


def entropy(family, params, out):
    """H  (DI-7).   params (B, D) → out (B,)."""
    _functions(family).entropy(params, *family.options, out)


def fisher_product(family, params, v, out):
    """M v, M the family's Fisher matrix  (DI-3, DI-5).   params, v (B, D) → out (B, D), which may be v."""
    _functions(family).fisher_product(params, v, *family.options, out)


def entropy_gradient(family, params, out):
    """∇H in the parameters  (DI-7).   params (B, D) → out (B, D)."""
    _functions(family).entropy_gradient(params, *family.options, out)
