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
def sample(kernels, family, params, noise, act):
    """a ~ π, from uniforms (discrete) or normals (Gaussian).   params (B, D), noise (B, …) → act (B, …)."""
    return lambda family, params, noise, act: kernels.sample(params, noise, *family.options, act)


@by_type(FAMILIES)
def log_prob(kernels, family, params, act, out):
    """log π(a)  (DI-4).   params (B, D), act (B, …) → out (B,)."""
    return lambda family, params, act, out: kernels.log_prob(params, act, *family.options, out)


@by_type(FAMILIES)
def score(kernels, family, params, act, out):
    """∇log π(a) in the parameters  (DI-1, DI-4).   params (B, D), act (B, …) → out (B, D)."""
    return lambda family, params, act, out: kernels.score(params, act, *family.options, out)


@by_type(FAMILIES)
def kl(kernels, family, old, new, out):
    """KL(old‖new)  (DI-6).   old, new (B, D) → out (B,)."""
    return lambda family, old, new, out: kernels.kl(old, new, *family.options, out)


@by_type(FAMILIES)
def kl_gradient(kernels, family, old, new, out):
    """The gradient of KL(old‖new) in the new parameters  (DI-6).   old, new (B, D) → out (B, D)."""
    return lambda family, old, new, out: kernels.kl_gradient(old, new, *family.options, out)


@by_type(FAMILIES)
def entropy(kernels, family, params, out):
    """H  (DI-7).   params (B, D) → out (B,)."""
    return lambda family, params, out: kernels.entropy(params, *family.options, out)


@by_type(FAMILIES)
def fisher_product(kernels, family, params, v, out):
    """M v, M the family's Fisher matrix  (DI-3, DI-5).   params, v (B, D) → out (B, D), which may be v."""
    return lambda family, params, v, out: kernels.fisher_product(params, v, *family.options, out)


@by_type(FAMILIES)
def entropy_gradient(kernels, family, params, out):
    """∇H in the parameters  (DI-7).   params (B, D) → out (B, D)."""
    return lambda family, params, out: kernels.entropy_gradient(params, *family.options, out)


@by_type(FAMILIES)
def _score_and_log_prob(kernels, family, params, act, out, logp):
    """`score` and `log_prob` at once.   params (B, D), act (B, …) → out (B, D), logp (B,)."""
    return lambda family, params, act, out, logp: kernels._score_and_log_prob(params, act, *family.options, out, logp)
