"""The CUDA twin: the functions of `reference/` on CuPy arrays.

Matrix products are cuBLAS's. What stands between them, and whatever is done a row at a time, are kernels of our own:
the .cu and .cuh files beside the modules that launch them, compiled when first needed (`_cuda.py`). No kernel waits for
another thread and none adds into a place that another one adds into, so an order of additions is that of the source,
and the same numbers give the same bits.

Nothing here is brought to the host but the one number a minibatch on which `proximal.climb` may stop. What describes
shapes (sizes, options, settings) is on the host; every other array is on the device. Unlike the other twins, these
take their smallest temporaries from CuPy's pool.
"""
