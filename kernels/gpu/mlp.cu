// What a network does beside its large matrix products: one pass over each array.
//
// A thread strides by `threads`, a multiple of the m columns, so that its column is found once (arrays.cu).

// y ← φ(y + b)
KERNEL add_bias_activate(i64 threads, i64 entries, int m, int activation, const real *b, real *y) {
    THREAD(t, threads);
    const real bias = b[t % m];
    for (i64 e = t; e < entries; e += threads) y[e] = activated(y[e] + bias, activation);
}

// y ← y + b
KERNEL add_bias(i64 threads, i64 entries, int m, const real *b, real *y) {
    THREAD(t, threads);
    const real bias = b[t % m];
    for (i64 e = t; e < entries; e += threads) y[e] += bias;
}

// y ← φ′ (y + product + b), the tangent of a hidden layer whose activations are h
KERNEL tangent(i64 threads, i64 entries, int m, int activation, const real *product, const real *b, const real *h,
               real *y) {
    THREAD(t, threads);
    const real bias = b[t % m];
    for (i64 e = t; e < entries; e += threads) y[e] = bent(y[e] + product[e] + bias, h[e], activation);
}

// The same of the first layer, into which no tangent comes.
KERNEL first_tangent(i64 threads, i64 entries, int m, int activation, const real *b, const real *h, real *y) {
    THREAD(t, threads);
    const real bias = b[t % m];
    for (i64 e = t; e < entries; e += threads) y[e] = bent(y[e] + bias, h[e], activation);
}

// y ← y + product + b, the tangent of the last layer
KERNEL last_tangent(i64 threads, i64 entries, int m, const real *product, const real *b, real *y) {
    THREAD(t, threads);
    const real bias = b[t % m];
    for (i64 e = t; e < entries; e += threads) y[e] += product[e] + bias;
}

// y ← φ′ y, and of each thread the sum of what it wrote, all of one column → sums (threads,)
KERNEL times_slope(i64 threads, i64 entries, int activation, const real *h, real *y, double *sums) {
    THREAD(t, threads);
    double sum = 0;
    for (i64 e = t; e < entries; e += threads) {
        const real entry = bent(y[e], h[e], activation);
        y[e] = entry;
        sum += entry;
    }
    sums[t] = sum;
}

// The same of y = g Wᵀ, whose product is made on the way: g (B, n), W (m, n), n no more than NARROW.
KERNEL narrow_slope(i64 threads, i64 entries, int m, int n, int activation, const real *__restrict__ g, const real *w,
                    const real *__restrict__ h, real *__restrict__ y, double *sums) {
    THREAD(t, threads);
    real own[NARROW];
    for (int k = 0; k < NARROW; k++) own[k] = k < n ? w[t % m * n + k] : (real)0;
    const real *row = g + t / m * n;
    double sum = 0;
    for (i64 e = t; e < entries; e += threads, row += threads / m * n) {
        const real height = h[e];
        real their[NARROW], product = 0;  // all that is read is asked for before any of it is waited for
        for (int k = 0; k < NARROW; k++) their[k] = k < n ? row[k] : (real)0;
        for (int k = 0; k < NARROW; k++) product += their[k] * own[k];
        const real entry = bent(product, height, activation);
        y[e] = entry;
        sum += entry;
    }
    sums[t] = sum;
}
