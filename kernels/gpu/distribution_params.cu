// One row of outputs a thread (distribution_params.cuh).

KERNEL parameters(i64 rows, int form, int n, real low, real high, int inputs, const real *obs, int width,
                  const real *out, const real *log_std, real *params) {
    THREAD(i, rows);
    params_of({form, n, low, high, obs + i * inputs}, out + i * n, log_std, width, params + i * width);
}
