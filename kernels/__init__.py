"""Floor 0: the mathematics, in twins of one name.

`reference/` is written to be read beside the equations, over the namespace of the arrays it is given.
`cpu/` has the same files, function names and signatures, compiled by Numba; `gpu/` has them over CuPy arrays.

The calling convention, for every kernel in every twin:

- inputs first, then the arrays it writes (`out`, or named state such as `theta`), then `work` arrays;
- it returns nothing and checks nothing: the public functions of `minipg` check shapes and allocate;
- arrays are C-contiguous and share one float dtype, float32 for training or float64 for checking;
- outputs may not alias inputs unless the docstring says so;
- randomness arrives as numbers (uniforms, normals) or as the key of some, so twins draw the same actions and orders
  (but for orders of very many rows on a device);
- `sizes`, `policy` and scalars are on the host in every twin, all other arrays where it computes; on a device nothing
  is looked at, so that nobody waits for it: what would have ended a loop goes on without effect. `gpu/proximal.climb`
  alone looks at one number a minibatch, where a KL may end its epochs, rather than do the rest of them for nothing.

Axis letters: B rows of a batch, T time, N environments, O observation size, A actions or action size,
D numbers that describe one distribution, P parameters, L layers.

Not everything in a twin is public mathematics: a name that begins with an underscore belongs to its own twin.
"""
