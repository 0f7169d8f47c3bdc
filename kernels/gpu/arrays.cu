// Sums down the columns of an array (R, C), in an order that no timing touches; the rows of a minibatch; and bounds.
//
// A thread starts at its own number and strides by their number, a multiple of C: neighbours read neighbours, and each
// stays in its column. What they add up are the rows of a smaller array (threads/C, C), which `finish` adds up.

KERNEL fold(i64 threads, i64 entries, const real *x, double *out) {
    THREAD(t, threads);
    double sum = 0;
    for (i64 e = t; e < entries; e += threads) sum += x[e];
    out[t] = sum;
}

KERNEL fold_squares(i64 threads, i64 entries, const real *x, double *out) {
    THREAD(t, threads);
    double sum = 0;
    for (i64 e = t; e < entries; e += threads) sum += (double)x[e] * x[e];
    out[t] = sum;
}

KERNEL fold_deviations(i64 threads, i64 entries, int columns, const real *x, const double *mean, double *out) {
    THREAD(t, threads);
    const double centre = mean[t % columns];
    double sum = 0;
    for (i64 e = t; e < entries; e += threads) sum += (x[e] - centre) * (x[e] - centre);
    out[t] = sum;
}

// out_j = scale · Σ_r x_rj, beside what is there or in its place; a thread a column.
template <class Out>
PART void finished(i64 j, i64 columns, i64 rows, double scale, int add, const double *x, Out *out) {
    double sum = 0;
    for (i64 r = 0; r < rows; r++) sum += x[r * columns + j];
    out[j] = (Out)((add ? (double)out[j] : 0.0) + scale * sum);
}

KERNEL finish(i64 columns, i64 rows, double scale, int add, const double *x, real *out) {
    THREAD(j, columns);
    finished(j, columns, rows, scale, add, x, out);
}

KERNEL finish_double(i64 columns, i64 rows, double scale, int add, const double *x, double *out) {
    THREAD(j, columns);
    finished(j, columns, rows, scale, add, x, out);
}

// out_ij = x_{picked_i, j}: out (B, C), a thread an entry.
KERNEL gather(i64 entries, int columns, const i64 *picked, const real *x, real *out) {
    THREAD(e, entries);
    out[e] = x[picked[e / columns] * columns + e % columns];
}

// x ← the nearest number within bounds, NaN for NaN.
KERNEL hold(i64 size, real low, real high, real *x) {
    THREAD(i, size);
    x[i] = x[i] < low ? low : x[i] > high ? high : x[i];
}
