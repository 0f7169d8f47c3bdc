"""Twin of `reference/policy_gradient.py`: one pass over the rows between the two sweeps through the network."""

from functools import cache

from minipg.kernels.gpu import distribution_params, mlp
from minipg.kernels.gpu._arrays import sum_columns
from minipg.kernels.gpu._rows import rows_of
from minipg.kernels.gpu._work import carve


@cache
def gradient(family):
    """Σ over rows of weight ∇log π(a|s) + c ∇H  (PG-9), of a policy whose distributions have that name: a kernel."""
    run = rows_of(family)

    def _gradient(policy, theta, forward, act, weight, entropy_weight, grad, work):
        form, bounds, options, sizes, activation = policy
        obs, hidden, out, params = forward
        (rows, n), width, count = out.shape, params.shape[1], len(theta) - (sizes[-1] if form == 1 else 0)
        u, more, g, scratch = carve(work, (rows, width), (rows, width), (rows, n))
        tail = scratch[: rows * (width - n)].reshape(rows, width - n)  # read before the sweep needs its room
        run(
            "ascent", rows, width, options, form, n, *bounds, out, params, act, weight, entropy_weight, u, more, g, tail
        )
        sum_columns(tail, grad[count:])
        mlp.vjp(theta[:count], sizes, activation, obs, hidden, g, grad[:count], scratch)

    return _gradient


@cache
def from_observations(family):
    """The same with its forward pass, and what their entropies add up to: a kernel."""
    run, of_forward = rows_of(family), gradient(family)

    def _from_observations(policy, theta, obs, act, weight, entropy_weight, grad, told, work):
        form, bounds, options, sizes, activation = policy
        rows, n, units = len(obs), int(sizes[-1]), int(sizes[1:-1].sum())
        count = len(theta) - (n if form == 1 else 0)
        width = n + len(theta) - count
        out, hidden, params, rest = carve(work, (rows, n), (rows * units,), (rows, width))
        mlp.forward(theta[:count], sizes, activation, obs, out, hidden)
        distribution_params.parameters(form, bounds, out, theta[count:], params)
        entropy = rest[:rows]
        run("entropy", rows, width, options, params, entropy)
        sum_columns(entropy, told)
        of_forward(policy, theta, (obs, hidden, out, params), act, weight, entropy_weight, grad, rest)

    return _from_observations
