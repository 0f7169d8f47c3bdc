"""The mathematics in three twins, with the same file names, function names and signatures.

- `reference/` is written to be read beside the equations, in NumPy's functions. It also runs on CuPy arrays.
- `cpu/` is the same, compiled by Numba.
- `gpu/` inherits `reference/` on CuPy arrays and overrides the functions that would be many launches
  (`gpu/_inherit.py`).

The calling convention of every kernel in every twin:

- Inputs come first, then the arrays it writes (`out`, or named state such as `theta`), then `work` arrays.
- It checks nothing, and returns nothing unless its docstring says so. The public functions of `minipg` check shapes
  and allocate.
- Arguments that belong together are one of the NamedTuples in `arguments.py`.
- `work_size`, beside a kernel, is the length of its `work` array, computed from layer sizes, the length of θ and rows.
- The type of `policy.family` chooses the functions of the distribution (`distribution.py`). The type of `dynamics`
  chooses those of an environment (`cpu/classic_control/dynamics.py`). Numba chooses when it compiles the caller.
- Arrays are C-contiguous and have one float dtype: float32 for training or float64 for checking.
- Outputs may not alias inputs unless the docstring says so.
- Random numbers are arguments (uniforms, normals, or a key that determines them), so twins draw the same actions and
  the same row orders. The exception: orders of very many rows on a device.
- Sizes, settings and scalars are on the host in every twin; all other arrays are where the twin computes. On a device
  no number is read, because reading waits for the device: a loop that would end early continues without effect.

Axis letters: B rows of a batch, M rows of a minibatch, E epochs, T time, N environments, O observation size,
A actions or action size, D numbers that describe one distribution, P parameters, L layers, n_l units of layer l (n₀
inputs, n_L outputs), S numbers of an environment's state, U uniforms that start an episode, K a count that the
docstring names (choices of a multicategorical, truncated episodes).

A gradient called `u` (B, D) is in the parameters of the distributions, `g` (B, n_L) in the network's outputs.

A name that begins with an underscore is private to its twin.
"""
