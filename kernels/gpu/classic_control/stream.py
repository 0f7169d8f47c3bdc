"""Noise from counter-based streams: an array is a function of a key, two uint64 on the host (stream.cu)."""

import cupy
from minipg.kernels.gpu._cuda import Source

_run = Source("classic_control/philox.cuh", "classic_control/stream.cu")


def uniform(key, out):
    """Uniforms in [0, 1): bit for bit those of `Generator(Philox(key=key)).random`.   key (2,) → out, any shape."""
    _run("uniform", -(-out.size // (8 if out.dtype == "float32" else 4)), out.size, *key, out)


def normal(key, out):
    """Standard normals, by Box and Muller from the float64 uniforms of that key.   key (2,) → out, any shape."""
    _run("normal", -(-out.size // 4), out.size, *key, out)


def permutation(key, out):
    """Rows of random permutations: the order of the float64 uniforms of that key.   key (2,) → out (E, B) int64."""
    drawn = cupy.empty(out.shape)
    uniform(key, drawn)
    out[...] = cupy.argsort(drawn, axis=1)
