// One row of outputs a thread (distribution_params.cuh).

KERNEL parameters(i64 rows, int form, int n, real low, real high, int width, const real *out, const real *log_std,
                  real *params) {
    THREAD(i, rows);
    params_of({form, n, low, high}, out + i * n, log_std, width, params + i * width);
}

KERNEL push_forward(i64 rows, int form, int n, real low, real high, int width, const real *out, const real *d_out,
                    const real *d_log_std, real *d_params) {
    THREAD(i, rows);
    times_derivative({form, n, low, high}, out + i * n, d_out + i * n, d_params + i * width);
    for (int j = n; j < width; j++) d_params[i * width + j] = d_log_std[j - n];
}

// tail (rows, D − n): the covectors of log σ, to be summed over the rows.
KERNEL pull_back(i64 rows, int form, int n, real low, real high, int width, const real *out, const real *u, real *g,
                 real *tail) {
    THREAD(i, rows);
    pulled_back({form, n, low, high}, out + i * n, u + i * width, width, g + i * n, tail + i * (width - n));
}
