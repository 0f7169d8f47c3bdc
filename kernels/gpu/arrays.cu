// Sums down the columns of an array (R, C) in a fixed order.
//
// A thread starts at its own number and strides by the number of threads, a multiple of C: neighbours read neighbours,
// and a thread stays in one column. The partial sums are a smaller array (threads/C, C), which `finish` sums.

KERNEL partial_sums(i64 threads, i64 entries, const real *x, double *out) {
    THREAD(t, threads);
    double sum = 0;
    for (i64 e = t; e < entries; e += threads) sum += x[e];
    out[t] = sum;
}

KERNEL partial_sums_of_squares(i64 threads, i64 entries, const real *x, double *out) {
    THREAD(t, threads);
    double sum = 0;
    for (i64 e = t; e < entries; e += threads) sum += (double)x[e] * x[e];
    out[t] = sum;
}

KERNEL partial_sums_of_deviations(i64 threads, i64 entries, int columns, const real *x, const double *mean,
                                  double *out) {
    THREAD(t, threads);
    const double centre = mean[t % columns];
    double sum = 0;
    for (i64 e = t; e < entries; e += threads) sum += (x[e] - centre) * (x[e] - centre);
    out[t] = sum;
}

// out_j = scale · Σ_r x_rj, plus out_j if `add`; a thread a column.
KERNEL finish(i64 columns, i64 rows, double scale, int add, const double *x, real *out) {
    THREAD(j, columns);
    double sum = 0;
    for (i64 r = 0; r < rows; r++) sum += x[r * columns + j];
    out[j] = (real)((add ? (double)out[j] : 0.0) + scale * sum);
}
