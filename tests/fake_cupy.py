"""A CuPy over NumPy, without a GPU, and stricter than the real one.

Its arrays refuse every implicit copy to the host (float, bool, iteration, a mask that selects rows), every mix of the
two libraries, and every function that CuPy lacks. `log` counts the copies by direction.
"""

import math
import operator
import sys
from importlib import import_module
from types import ModuleType, SimpleNamespace

import numpy as np

log = {"up": 0, "down": 0}

_SCALARS = (bool, int, float, np.generic)


class ndarray:
    """An array of the device."""

    def __init__(self, held):
        self._held = np.asarray(held)

    dtype = property(lambda self: self._held.dtype)
    shape = property(lambda self: self._held.shape)
    ndim = property(lambda self: self._held.ndim)
    size = property(lambda self: self._held.size)
    T = property(lambda self: ndarray(self._held.T))

    def __len__(self):
        return len(self._held)

    def get(self):
        """A copy on the host, the only way there."""
        log["down"] += 1
        return self._held.copy()

    def reshape(self, *shape):
        return ndarray(self._held.reshape(*shape))

    def ravel(self):
        return ndarray(self._held.ravel())

    def copy(self):
        return ndarray(self._held.copy())

    def astype(self, dtype, copy=True):
        return ndarray(self._held.astype(dtype, copy=copy))

    def sum(self, axis=None, dtype=None, keepdims=False):
        return ndarray(self._held.sum(axis=axis, dtype=dtype, keepdims=keepdims))

    def mean(self, axis=None, dtype=None, keepdims=False):
        return ndarray(self._held.mean(axis=axis, dtype=dtype, keepdims=keepdims))

    def max(self, axis=None, keepdims=False):
        return ndarray(self._held.max(axis=axis, keepdims=keepdims))

    def min(self, axis=None, keepdims=False):
        return ndarray(self._held.min(axis=axis, keepdims=keepdims))

    def all(self, axis=None, keepdims=False):
        return ndarray(self._held.all(axis=axis, keepdims=keepdims))

    def any(self, axis=None, keepdims=False):
        return ndarray(self._held.any(axis=axis, keepdims=keepdims))

    def argmax(self, axis=None):
        return ndarray(self._held.argmax(axis=axis))

    def cumsum(self, axis=None):
        return ndarray(self._held.cumsum(axis=axis))

    def dot(self, other):
        return ndarray(self._held.dot(_held(other)))

    def __getitem__(self, key):
        key = _key(key)
        for part in key:
            if isinstance(part, np.ndarray) and part.dtype == bool:
                raise TypeError("the number of rows that a mask selects is not known on the host")
        if ... not in [part for part in key if part is ...]:
            key = (*key, ...)  # so that one entry is an array too, and a view
        return ndarray(self._held[key])

    def __setitem__(self, key, value):
        self._held[_key(key)] = _held(value)

    def __abs__(self):
        return ndarray(abs(self._held))

    def __neg__(self):
        return ndarray(-self._held)

    def __invert__(self):
        return ndarray(~self._held)

    def __array_ufunc__(self, ufunc, method, *inputs, **options):
        """An operation with a NumPy scalar on the left; no other function of NumPy accepts these arrays."""
        if method != "__call__" or options or not any(isinstance(value, np.generic) for value in inputs):
            raise TypeError(f"numpy.{ufunc.__name__} on an array of the device")
        return ndarray(ufunc(*map(_held, inputs)))

    def __array_function__(self, function, *_):
        raise TypeError(f"numpy.{function.__name__} on an array of the device")

    def _refused(self, *_, **__):
        raise TypeError("Implicit conversion to a NumPy array or a Python number is not allowed. Please use `.get()`")

    __array__ = __float__ = __int__ = __bool__ = __index__ = __complex__ = __iter__ = __hash__ = _refused
    item = tolist = tobytes = __contains__ = _refused


def _held(value):
    """The NumPy array of an array of the device, or a scalar. Arrays of the host are refused."""
    if isinstance(value, ndarray):
        return value._held
    if isinstance(value, _SCALARS):
        return value
    raise TypeError(f"Unsupported type {type(value)}")


def _key(key):
    def part(one):
        if isinstance(one, np.ndarray | list):
            raise TypeError(f"Unsupported type {type(one)}")
        return one._held if isinstance(one, ndarray) else one

    return tuple(map(part, key if isinstance(key, tuple) else (key,)))


def _operators():
    """Arithmetic and comparisons with arrays of the device and scalars, on either side and in place."""

    def binary(f):
        return lambda self, other: ndarray(f(self._held, _held(other)))

    def reflected(f):
        return lambda self, other: ndarray(f(_held(other), self._held))

    def in_place(f):
        def method(self, other):
            self._held[...] = f(self._held, _held(other)).astype(self.dtype, casting="same_kind")
            return self

        return method

    arithmetic = ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and", "or")
    for name in (*arithmetic, "lt", "le", "gt", "ge", "eq", "ne"):
        f = getattr(operator, f"__{name}__")
        setattr(ndarray, f"__{name}__", binary(f))
        if name in arithmetic:
            setattr(ndarray, f"__r{name}__", reflected(f))
            setattr(ndarray, f"__i{name}__", in_place(f))


_operators()
ndarray.__module__ = "cupy"
ndarray.__hash__ = None


def asarray(a, dtype=None):
    """Copy an array of the host to the device, and count it; return one of the device itself."""
    if isinstance(a, ndarray):
        return a if dtype is None or a.dtype == dtype else a.astype(dtype)
    log["up"] += 1
    return ndarray(np.array(a, dtype))


def asnumpy(a):
    """Copy to the host, and count it."""
    return a.get()


def _elementwise(name):
    def function(*arrays):
        if not any(isinstance(array, ndarray) for array in arrays):
            raise TypeError("none of them is an array of the device")
        return ndarray(getattr(np, name)(*map(_held, arrays)))

    return function


def _joined(f):
    def join(arrays, axis=0):
        if not all(isinstance(array, ndarray) for array in arrays):
            raise TypeError("Only cupy arrays can be concatenated")
        return ndarray(f([array._held for array in arrays], axis=axis))

    return join


def _filled(f):
    return lambda shape, dtype=float: ndarray(f(shape, dtype))


def _filled_like(f):
    def like(array, dtype=None):
        if not isinstance(array, ndarray):
            raise TypeError(f"Unsupported type {type(array)}")
        return ndarray(f(array._held, dtype=dtype))

    return like


def _where(condition, x, y):
    if not isinstance(condition, ndarray):
        raise TypeError(f"Unsupported type {type(condition)}")
    return ndarray(np.where(condition._held, _held(x), _held(y)))


_ELEMENTWISE = (
    "exp", "log", "log1p", "expm1", "sqrt", "square", "tanh", "abs", "maximum", "minimum", "fmax", "isfinite",
)  # fmt: skip


def modules():
    """The modules that `import cupy` and `import cupyx.scipy.special` find, by name."""
    cupy, runtime, special = ModuleType("cupy"), ModuleType("cupy.cuda.runtime"), ModuleType("cupyx.scipy.special")
    for name in _ELEMENTWISE:
        setattr(cupy, name, _elementwise(name))
    cupy.ndarray, cupy.asarray, cupy.asnumpy, cupy.where = ndarray, asarray, asnumpy, _where
    cupy.finfo, cupy.inf, cupy.nan = np.finfo, np.inf, np.nan
    cupy.ascontiguousarray = lambda a: ndarray(np.ascontiguousarray(a._held)) if a.ndim else a
    cupy.concatenate, cupy.stack = _joined(np.concatenate), _joined(np.stack)
    # new arrays hold nonsense, so that a read before a write is found
    cupy.empty = lambda shape, dtype=float: ndarray(_nonsense(np.empty(shape, dtype)))
    cupy.empty_like = lambda array: ndarray(_nonsense(np.empty_like(array._held)))
    cupy.zeros, cupy.ones = _filled(np.zeros), _filled(np.ones)
    cupy.zeros_like, cupy.ones_like = _filled_like(np.zeros_like), _filled_like(np.ones_like)
    cupy.full = lambda shape, value, dtype=None: ndarray(np.full(shape, _held(value), dtype))
    cupy.arange = lambda start, stop=None, step=1, dtype=None: ndarray(
        np.arange(*((0, start) if stop is None else (start, stop)), step, dtype)
    )
    cupy.pad = lambda a, widths: ndarray(np.pad(a._held, widths))
    cupy.clip = lambda a, low, high: ndarray(np.clip(a._held, _held(low), _held(high)))
    special.erf = lambda a: ndarray(np.vectorize(math.erf, otypes=[float])(a._held).astype(a.dtype))
    runtime.getDeviceCount = lambda: 1
    runtime.driverGetVersion = runtime.runtimeGetVersion = lambda: 12090
    cuda, cupyx, scipy = ModuleType("cupy.cuda"), ModuleType("cupyx"), ModuleType("cupyx.scipy")
    cupy.cuda, cuda.runtime, cupyx.scipy, scipy.special = cuda, runtime, scipy, special
    return {
        "cupy": cupy, "cupy.cuda": cuda, "cupy.cuda.runtime": runtime,
        "cupyx": cupyx, "cupyx.scipy": scipy, "cupyx.scipy.special": special,
    }  # fmt: skip


def _nonsense(array):
    array[...] = np.nan if array.dtype.kind == "f" else -(2**31) if array.dtype.kind == "i" else True
    return array


def install(monkeypatch):
    """For one test: `cupy` is this module, with the reference's kernels alone; the counts start at 0."""
    for name, module in modules().items():
        monkeypatch.setitem(sys.modules, name, module)
    inherit = SimpleNamespace(kernels=lambda file: import_module(f"minipg.kernels.reference.{file}"))
    monkeypatch.setitem(sys.modules, "minipg.kernels.gpu._inherit", inherit)
    log.update(up=0, down=0)
    return sys.modules["cupy"]
