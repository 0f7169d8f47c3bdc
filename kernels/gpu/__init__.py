"""The GPU twin: `reference/` on CuPy arrays, and CUDA kernels where the reference would be many launches.

A file here overrides functions of the file of the same name in `reference/`; the rest is inherited (`_inherit.py`).
Matrix products are cuBLAS's. A .cu file holds the kernels of the module beside it, and `_cuda.py` compiles it at the
first launch. No kernel waits for another thread or adds where another thread adds: the order of additions is that of
the source, and the same numbers give the same bits.

Arrays that describe shapes (sizes, options, settings) are on the host, all others on the device; no number is copied to
the host. Temporaries come from CuPy's pool: `work` arrays are not used.
"""
