"""Between a network's outputs (B, n) and the parameters of a policy's distributions (B, D).

They are the outputs themselves (`form` 0), those and log σ from the tail of θ (1), or those with their second half
bounded to (low, high) by h tanh(z/h), h the bound on z's side (2).
"""

from minipg.kernels.reference._namespace import namespace


def parameters(form, bounds, out, log_std, params):
    """out (B, n), log_std (A,), which is (0,) but for form 1 → params (B, D)."""
    n = out.shape[1]
    params[:, :n] = out
    params[:, n:] = log_std
    if form == 2:
        reach = _reach(bounds, out[:, n // 2 :])
        params[:, n // 2 :] = reach * namespace(out).tanh(out[:, n // 2 :] / reach)


def push_forward(form, bounds, out, d_out, d_log_std, d_params):
    """Changes of the outputs, d_out (B, n), and of log σ, d_log_std (A,) → of the parameters, d_params (B, D)."""
    n = out.shape[1]
    d_params[:, :n] = d_out
    d_params[:, n:] = d_log_std
    if form == 2:
        d_params[:, n // 2 :] *= _slope(bounds, out[:, n // 2 :])


def pull_back(form, bounds, out, u, g, log_std_grad):
    """Covectors of the parameters, u (B, D) → of the outputs, g (B, n); those of log σ are added to log_std_grad."""
    n = out.shape[1]
    g[...] = u[:, :n]
    log_std_grad += u[:, n:].sum(axis=0)
    if form == 2:
        g[:, n // 2 :] *= _slope(bounds, out[:, n // 2 :])


def _slope(bounds, z):
    """The derivative of h tanh(z/h)."""
    return 1 - namespace(z).tanh(z / _reach(bounds, z)) ** 2


def _reach(bounds, z):
    low, high = bounds
    return namespace(z).where(z > 0, high, -low).astype(z.dtype)
