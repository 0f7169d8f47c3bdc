"""The classic control problems on the device: the dynamics of kernels/cpu/classic_control, an environment a thread.

The .cuh file of a problem has the arithmetic of its twin there, in the same order and precision, no two operations
fused (`--fmad=false`). Sines and cosines are the device's own, good to two units in the last place, where the
processor's library may differ in the last one; and a square is x·x, where Python's power is its neighbour once in a
thousand times.

First states are Philox's (`batch.cu`), so they depend on the seed, the environment and the number of the episode alone:
not on how many environments there are, nor on what others draw.
"""
