"""From a network's outputs (B, n) to the parameters of a policy's distributions (B, D), and back for gradients.

form 0: the parameters are the outputs.
form 1: the parameters are the outputs and log σ, the tail of θ, in every row.
form 2: the outputs are (μ, z), and log σ = h tanh(z/h) lies within bounds = (low, high): h = high if z > 0, else −low.
form 3: the outputs are logits, and the first n numbers of an observation say which actions are allowed. The logit of
    an action whose number is 0 becomes −10⁹, so that its probability is exactly 0, and so is every derivative  (DI-9).
"""

from minipg.kernels.arguments import MASKED
from minipg.kernels.reference._namespace import namespace


def parameters(form, bounds, obs, out, log_std, params):
    """The parameters of every row.   obs (B, O), out (B, n), log_std (A,) in form 1, else (0,) → params (B, D)."""
    n = out.shape[1]
    params[:, :n] = out
    params[:, n:] = log_std
    if form == 2:
        reach = _reach(bounds, out[:, n // 2 :])
        params[:, n // 2 :] = reach * namespace(out).tanh(out[:, n // 2 :] / reach)
    if form == 3:
        params[obs[:, :n] == 0] = MASKED


def push_forward(form, bounds, obs, out, d_out, d_log_std, d_params):
    """J v of `parameters`: the change of the parameters.   d_out (B, n), d_log_std (A,) → d_params (B, D)."""
    n = out.shape[1]
    d_params[:, :n] = d_out
    d_params[:, n:] = d_log_std
    if form == 2:
        d_params[:, n // 2 :] *= _slope(bounds, out[:, n // 2 :])
    if form == 3:
        d_params[obs[:, :n] == 0] = 0


def pull_back(form, bounds, obs, out, u, g, log_std_grad):
    """Jᵀ u of `parameters`.   u (B, D) → g (B, n) in the outputs; that in log σ is added to log_std_grad (A,)."""
    n = out.shape[1]
    g[...] = u[:, :n]
    log_std_grad += u[:, n:].sum(axis=0)
    if form == 2:
        g[:, n // 2 :] *= _slope(bounds, out[:, n // 2 :])
    if form == 3:
        g[obs[:, :n] == 0] = 0


def _slope(bounds, z):
    """The derivative of h tanh(z/h) in z."""
    return 1 - namespace(z).tanh(z / _reach(bounds, z)) ** 2


def _reach(bounds, z):
    """h of every z."""
    low, high = bounds
    return namespace(z).where(z > 0, high, -low).astype(z.dtype)
