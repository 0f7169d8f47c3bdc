"""Noise on the device, counter-based: the numbers of a key, whoever draws them (stream.cu)."""

import cupy
from minipg.kernels.gpu._cuda import Source

_run = Source("classic_control/philox.cuh", "classic_control/stream.cu")


def uniform(key, out):
    """Uniform on [0, 1): to the bit what `Generator(Philox(key=key)).random` draws.   key (2,) uint64 of the host."""
    _run("uniform", -(-out.size // (8 if out.dtype == "float32" else 4)), out.size, *key, out)


def normal(key, out):
    """Standard normals of the same stream's float64 uniforms, by Box and Muller.   key (2,) uint64 of the host."""
    _run("normal", -(-out.size // 4), out.size, *key, out)


def permutation(key, out):
    """Every row of out (E, B) int64 a permutation: the places of the stream's float64 uniforms, the smallest first."""
    drawn = cupy.empty(out.shape)
    uniform(key, drawn)
    out[...] = cupy.argsort(drawn, axis=1)
