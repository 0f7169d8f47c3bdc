// a = tanh u with u from a diagonal Gaussian; u is stored. The map from u to a has no parameter, so only log-probability
// and entropy differ from the Gaussian's. X, W, T, R and TAU are those of kernels/_quadrature.py, in double precision.
PART double log_cosh(double u) { return fabs(u) + log1p(exp(-2 * fabs(u))) - 0.69314718055994530942; }

struct Expected {
    double value, by_mean, by_log_std;  // E[log cosh u] and its derivatives
};

PART Expected expected_log_cosh(double mean, double std) {
    Expected e = {0, 0, 0};
    if (std <= 1) {
        for (int k = 0; k < NODES_NARROW; k++) {
            const double u = mean + std * X[k], slope = W[k] * tanh(u);
            e.value += W[k] * log_cosh(u);
            e.by_mean += slope;
            e.by_log_std += std * X[k] * slope;
        }
        return e;
    }
    const double total = sqrt(std * std + TAU * TAU), ratio = mean / total;
    const double sign = erf(ratio * 0.70710678118654752440), peak = 0.79788456080286535588 * exp(-ratio * ratio / 2);
    for (int k = 0; k < NODES_WIDE; k++) {
        const double z = (T[k] - mean) / std, density = R[k] * exp(-z * z / 2) / (std * 2.5066282746310005024);
        e.value += density;
        e.by_mean += density * z;
        e.by_log_std += density * (z * z - 1);
    }
    e.value += mean * sign + total * peak - 0.69314718055994530942;
    e.by_mean = sign + e.by_mean / std;
    e.by_log_std += peak * std * std / total;
    return e;
}

struct Squashed : Gaussian {
    PART real log_prob(const real *p, const real *act, Shape s) {
        real total = Gaussian::log_prob(p, act, s);
        for (int j = 0; j < s.acts; j++) total += 2 * (real)log_cosh(act[j]);
        return total;
    }

    PART real entropy(const real *p, Shape s) {
        double total = 0;
        for (int j = 0; j < s.acts; j++) total += expected_log_cosh(p[j], exp((double)p[s.acts + j])).value;
        return Gaussian::entropy(p, s) - (real)(2 * total);
    }

    PART void entropy_gradient(const real *p, Shape s, real *out) {
        for (int j = 0; j < s.acts; j++) {
            const Expected e = expected_log_cosh(p[j], exp((double)p[s.acts + j]));
            out[j] = (real)(-2 * e.by_mean);
            out[s.acts + j] = (real)(1 - 2 * e.by_log_std);
        }
    }
};
