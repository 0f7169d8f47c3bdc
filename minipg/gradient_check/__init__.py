"""Check a derivative written by hand, of any function over arrays, and get a diagnosis if it is wrong.

    check_gradient(f, gradient, x)                  f: x → a number
    check_jvp(f, jvp, x)                            jvp(x, v) = J v
    check_vjp(f, vjp, x)                            vjp(x, u) = Jᵀ u
    check_adjoint(jvp, vjp, x)                      ⟨u, J v⟩ = ⟨Jᵀ u, v⟩
    check_hessian_product(gradient, product, x)     product(x, v) = H v, symmetric
    check_fisher(product, theta, ...)               symmetric, PSD, covariance of the score, Hessian of the KL

x is an array, a dict, NamedTuple or list of arrays, or a tuple of positional arguments; float32 or float64. A wrong
derivative raises GradientError, whose message is the diagnosis and whose attributes are its parts. Otherwise the result
is a Report, with a NotDifferentiableWarning if f has a kink or a jump at x. There is no tolerance to tune: the numeric
derivative has an error bound of its own (`numeric.py`).
"""

from minipg.gradient_check.comparison import Report
from minipg.gradient_check.derivatives import check_gradient, check_hessian_product, check_jvp, check_vjp
from minipg.gradient_check.errors import CheckInputError, GradientError, NotDifferentiableWarning
from minipg.gradient_check.identities import check_adjoint, check_fisher

__all__ = [
    "CheckInputError",
    "GradientError",
    "NotDifferentiableWarning",
    "Report",
    "check_adjoint",
    "check_fisher",
    "check_gradient",
    "check_hessian_product",
    "check_jvp",
    "check_vjp",
]
