// y ← y/σ_j², the Gaussian's Fisher matrix in the mean, with the same log σ in all rows.
KERNEL over_variance(i64 threads, i64 entries, int columns, const real *log_std, real *y) {
    THREAD(t, threads);
    const real inverse_std = exp(-log_std[t % columns]);
    for (i64 e = t; e < entries; e += threads) y[e] = y[e] * inverse_std * inverse_std;
}

// out_j = 2 B v_j, its part in log σ: 2 v in each of B rows.
KERNEL fisher_of_log_std(i64 columns, real twice_rows, const real *v, real *out) {
    THREAD(j, columns);
    out[j] = twice_rows * v[j];
}
