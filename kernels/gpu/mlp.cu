// What a network computes beside its matrix products: one pass over each array.
//
// A thread strides by the number of threads, a multiple of the m columns, and so stays in one column (arrays.cu).

// y ← φ(y + b)
KERNEL add_bias_activate(i64 threads, i64 entries, int m, int activation, const real *b, real *y) {
    THREAD(t, threads);
    const real bias = b[t % m];
    for (i64 e = t; e < entries; e += threads) y[e] = activated(y[e] + bias, activation);
}

// y ← φ′ (y + product + b), the tangent of a layer with activations h; without `product` in the first layer
KERNEL tangent(i64 threads, i64 entries, int m, int activation, int first, const real *product, const real *b,
               const real *h, real *y) {
    THREAD(t, threads);
    const real bias = b[t % m];
    for (i64 e = t; e < entries; e += threads)
        y[e] = times_slope_of(y[e] + (first ? (real)0 : product[e]) + bias, h[e], activation);
}

// y ← φ′ y, and of each thread the sum of what it wrote, all in one column → sums (threads,)
KERNEL times_slope(i64 threads, i64 entries, int activation, const real *h, real *y, double *sums) {
    THREAD(t, threads);
    double sum = 0;
    for (i64 e = t; e < entries; e += threads) {
        const real entry = times_slope_of(y[e], h[e], activation);
        y[e] = entry;
        sum += entry;
    }
    sums[t] = sum;
}

// The same for y = g Wᵀ, computed here: g (B, n), W (m, n), n at most NARROW.
KERNEL narrow_times_slope(i64 threads, i64 entries, int m, int n, int activation, const real *__restrict__ g,
                          const real *w, const real *__restrict__ h, real *__restrict__ y, double *sums) {
    THREAD(t, threads);
    real weights[NARROW];
    for (int k = 0; k < NARROW; k++) weights[k] = k < n ? w[t % m * n + k] : (real)0;
    const real *row = g + t / m * n;
    double sum = 0;
    for (i64 e = t; e < entries; e += threads, row += threads / m * n) {
        const real value = h[e];
        real covector[NARROW], product = 0;  // all loads are issued before the first one is used
        for (int k = 0; k < NARROW; k++) covector[k] = k < n ? row[k] : (real)0;
        for (int k = 0; k < NARROW; k++) product += covector[k] * weights[k];
        const real entry = times_slope_of(product, value, activation);
        y[e] = entry;
        sum += entry;
    }
    sums[t] = sum;
}
