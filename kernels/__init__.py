"""Floor 0: the mathematics, in twins of one name.

`reference/` is written to be read beside the equations, over the namespace of the arrays it is given.
`cpu/` has the same files, function names and signatures, compiled by Numba. `gpu/` inherits `reference/` over CuPy's
arrays and overrides the functions that would be many launches (`gpu/_inherit.py`).

The calling convention, for every kernel in every twin:

- inputs first, then the arrays it writes (`out`, or named state such as `theta`), then `work` arrays;
- it returns nothing and checks nothing: the public functions of `minipg` check shapes and allocate;
- arrays are C-contiguous and share one float dtype, float32 for training or float64 for checking;
- outputs may not alias inputs unless the docstring says so;
- randomness arrives as numbers (uniforms, normals) or as the key of some, so twins draw the same actions and orders
  (but for orders of very many rows on a device);
- `sizes`, `network`, `policy` and scalars are on the host in every twin, all other arrays where the twin computes. On a
  device no number is read, because that waits for it: a loop that would have ended continues without effect.

Axis letters: B rows of a batch, T time, N environments, O observation size, A actions or action size,
D numbers that describe one distribution, P parameters, L layers.

Not everything in a twin is public mathematics: a name that begins with an underscore belongs to its own twin.
"""
