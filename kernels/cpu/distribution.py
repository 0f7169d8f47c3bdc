"""Twin of `reference/distribution.py`: the type of `family` chooses the kernel when the caller is compiled."""

from minipg.kernels.arguments import Bernoulli, Categorical, Gaussian, Multicategorical, Squashed
from minipg.kernels.cpu import bernoulli, categorical, gaussian, multicategorical, squashed
from minipg.kernels.cpu._jit import by_type

FAMILIES = {
    Bernoulli: bernoulli,
    Categorical: categorical,
    Gaussian: gaussian,
    Multicategorical: multicategorical,
    Squashed: squashed,
}


@by_type(FAMILIES)
def sample(family, params, noise, act):
    """a ~ π, from uniforms (discrete) or normals (Gaussian).   params (B, D), noise (B, …) → act (B, …)."""
    kernel = family.sample
    return lambda family, params, noise, act: kernel(params, noise, *family.options, act)


@by_type(FAMILIES)
def log_prob(family, params, act, out):
    """log π(a)  (DI-4).   params (B, D), act (B, …) → out (B,)."""
    kernel = family.log_prob
    return lambda family, params, act, out: kernel(params, act, *family.options, out)


@by_type(FAMILIES)
def score(family, params, act, out):
    """∇log π(a) in the parameters  (DI-1, DI-4).   params (B, D), act (B, …) → out (B, D)."""
    kernel = family.score
    return lambda family, params, act, out: kernel(params, act, *family.options, out)


@by_type(FAMILIES)
def kl(family, old, new, out):
    """KL(old‖new)  (DI-6).   old, new (B, D) → out (B,)."""
    kernel = family.kl
    return lambda family, old, new, out: kernel(old, new, *family.options, out)


@by_type(FAMILIES)
def kl_gradient(family, old, new, out):
    """The gradient of KL(old‖new) in the new parameters.   old, new (B, D) → out (B, D)."""
    kernel = family.kl_gradient
    return lambda family, old, new, out: kernel(old, new, *family.options, out)


@by_type(FAMILIES)
def entropy(family, params, out):
    """H  (DI-7).   params (B, D) → out (B,)."""
    kernel = family.entropy
    return lambda family, params, out: kernel(params, *family.options, out)


@by_type(FAMILIES)
def fisher_product(family, params, v, out):
    """M v, M the family's Fisher matrix  (DI-3, DI-5).   params, v (B, D) → out (B, D), which may be v."""
    kernel = family.fisher_product
    return lambda family, params, v, out: kernel(params, v, *family.options, out)


@by_type(FAMILIES)
def entropy_gradient(family, params, out):
    """∇H in the parameters  (DI-7).   params (B, D) → out (B, D)."""
    kernel = family.entropy_gradient
    return lambda family, params, out: kernel(params, *family.options, out)


@by_type(FAMILIES)
def _score_and_log_prob(family, params, act, out, logp):
    """`score` and `log_prob` at once.   params (B, D), act (B, …) → out (B, D), logp (B,)."""
    kernel = family._score_and_log_prob
    return lambda family, params, act, out, logp: kernel(params, act, *family.options, out, logp)
