// What stands between a network's matrix products: one pass over each array.
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

// y ← φ′ y
KERNEL times_slope(i64 entries, int activation, const real *h, real *y) {
    THREAD(e, entries);
    y[e] = bent(y[e], h[e], activation);
}
