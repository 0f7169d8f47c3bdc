// Running mean and variance, in double precision for rows of either precision.

// x_mean, x_square (O,): the mean of `rows` new rows and their squared deviations from it; `count` as it was before.
KERNEL merge(i64 columns, double rows, const double *x_mean, const double *x_square, const double *count,
             double *mean, double *square) {
    THREAD(j, columns);
    const double total = count[0] + rows, d = x_mean[j] - mean[j];
    square[j] += x_square[j] + d * d * (count[0] * rows / total);
    mean[j] += d * (rows / total);
}

KERNEL standardize(i64 entries, int columns, double limit, const real *x, const double *count, const double *mean,
                   const double *square, real *out) {
    THREAD(e, entries);
    const i64 j = e % columns;
    const double variance = square[j] / (count[0] > 1 ? count[0] : 1);
    const double z = (x[e] - mean[j]) * (variance > 0 ? 1 / sqrt(variance) : 1);
    out[e] = (real)(z > limit ? limit : z < -limit ? -limit : z);
}
