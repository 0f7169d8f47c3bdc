// Rows of outputs, one a thread (head.cuh).

KERNEL parameters(i64 rows, int form, int n, real low, real high, int width, const real *out, const real *log_std,
                  real *params) {
    THREAD(i, rows);
    head_parameters({form, n, low, high}, out + i * n, log_std, width, params + i * width);
}

KERNEL push_forward(i64 rows, int form, int n, real low, real high, int width, const real *out, const real *d_out,
                    const real *d_log_std, real *d_params) {
    THREAD(i, rows);
    head_times_slope({form, n, low, high}, out + i * n, d_out + i * n, d_params + i * width);
    for (int j = n; j < width; j++) d_params[i * width + j] = d_log_std[j - n];
}

// The columns of log σ are put aside in `tail` (rows, D − n), to be added up.
KERNEL pull_back(i64 rows, int form, int n, real low, real high, int width, const real *out, const real *u, real *g,
                 real *tail) {
    THREAD(i, rows);
    head_times_slope({form, n, low, high}, out + i * n, u + i * width, g + i * n);
    for (int j = n; j < width; j++) tail[i * (width - n) + j - n] = u[i * width + j];
}
