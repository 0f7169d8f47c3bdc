"""The classic control problems on a GPU: the dynamics of kernels/cpu/classic_control, one environment a thread.

The .cuh file of a problem has the arithmetic of the compiled twin, in the same order and precision, without fused
multiply-adds (`--fmad=false`). Two differences remain: sines and cosines are CUDA's, correct to two units in the last
place, and a square is x·x, which differs from Python's power about once in a thousand times.

First states are drawn by Philox (`batch.cu`) from the seed, the environment's index and the number of the episode
alone: they do not depend on the number of environments.
"""
