"""Twin of `reference/surrogate_value.py`: one pass over the rows after the forward sweep."""

from functools import cache

import cupy
from minipg.kernels.gpu import mlp
from minipg.kernels.gpu._arrays import sum_columns
from minipg.kernels.gpu._rows import rows_of
from minipg.kernels.gpu._work import carve


@cache
def evaluate(family):
    """Of a policy whose distributions have that name: a kernel. told (3,): Σ r Â  (IS-3), Σ KL  (TR-5), Σ H."""
    run = rows_of(family)

    def _evaluate(policy, theta, obs, act, adv, old, logp_old, wants_entropy, told, work):
        form, bounds, options, sizes, activation = policy
        rows, n, units, width = len(obs), int(sizes[-1]), int(sizes[1:-1].sum()), old.shape[1]
        count = len(theta) - (n if form == 1 else 0)
        out, hidden, params, _ = carve(work, (rows, n), (rows * units,), (rows, width))
        mlp.forward(theta[:count], sizes, activation, obs, out, hidden)
        each = cupy.empty((rows, 3), old.dtype)
        run(
            "worth", rows, width, options, form, n, *bounds, out, theta[count:], act, adv, old, logp_old,
            wants_entropy, params, each,
        )  # fmt: skip
        sum_columns(each, told)

    return _evaluate
