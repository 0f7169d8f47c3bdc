// A choice among n, from logits z; log p_a = z_a − m − s with m = max z, s = log Σ e^{z − m}.
struct Choice {
    real m, s;  // kept apart, because z − m is exact where m + s would round
};

PART Choice choice(const real *z, int n) {
    real m = z[0], total = 0;
    for (int a = 1; a < n; a++) m = z[a] <= m ? m : z[a];  // NaN for NaN
    for (int a = 0; a < n; a++) total += exp(z[a] - m);
    return {m, log(total)};
}

PART real choice_entropy(const real *z, int n, Choice c) {
    real total = 0;
    for (int a = 0; a < n; a++) {
        const real log_p = z[a] - c.m - c.s;
        total -= exp(log_p) * log_p;
    }
    return total;
}

#define IMPOSSIBLE (real)(-1000)

// The number of k < n − 1 with p₀ + … + p_k ≤ u; the last possible action where rounding would pass it.
PART i64 choice_sample(const real *z, int n, real uniform) {
    const real m = choice(z, n).m;
    real total = 0, below = 0;
    for (int a = 0; a < n; a++) total += exp(z[a] - m);
    i64 act = 0;
    for (int a = 0; a < n - 1; a++) {
        below += exp(z[a] - m);
        act += below <= uniform * total;
    }
    while (act > 0 && z[act] - m < IMPOSSIBLE) act--;
    return act;
}

PART i64 choice_mode(const real *z, int n) {
    int best = 0;
    for (int a = 1; a < n; a++) best = z[a] > z[best] ? a : best;
    return best;
}

PART void choice_score(const real *z, int n, i64 act, real *out) {
    const Choice c = choice(z, n);
    for (int a = 0; a < n; a++) out[a] = (real)(a == act) - exp(z[a] - c.m - c.s);
}

PART real choice_kl(const real *old, const real *now, int n) {
    const Choice c0 = choice(old, n), c1 = choice(now, n);
    real total = 0;
    for (int a = 0; a < n; a++) {
        const real log_old = old[a] - c0.m - c0.s, log_now = now[a] - c1.m - c1.s;
        total += exp(log_old) * (log_old - log_now);
    }
    return total;
}

PART void choice_kl_gradient(const real *old, const real *now, int n, real *out) {
    const Choice c0 = choice(old, n), c1 = choice(now, n);
    for (int a = 0; a < n; a++) out[a] = exp(now[a] - c1.m - c1.s) - exp(old[a] - c0.m - c0.s);
}

PART void choice_entropy_gradient(const real *z, int n, real *out) {
    const Choice c = choice(z, n);
    const real h = choice_entropy(z, n, c);
    for (int a = 0; a < n; a++) {
        const real log_p = z[a] - c.m - c.s;
        out[a] = -exp(log_p) * (log_p + h);
    }
}

// `out` may be v.
PART void choice_fisher_product(const real *z, const real *v, int n, real *out) {
    const Choice c = choice(z, n);
    real mean = 0;
    for (int a = 0; a < n; a++) mean += exp(z[a] - c.m - c.s) * v[a];
    for (int a = 0; a < n; a++) out[a] = exp(z[a] - c.m - c.s) * (v[a] - mean);
}

// A row is one such choice; an action is its index.
struct Categorical {
    PART void sample(const real *p, const real *noise, Shape s, i64 *act) { *act = choice_sample(p, s.width, *noise); }
    PART void mode(const real *p, Shape s, i64 *act) { *act = choice_mode(p, s.width); }
    PART real log_prob(const real *p, const i64 *act, Shape s) {
        const Choice c = choice(p, s.width);
        return p[*act] - c.m - c.s;
    }
    PART void score(const real *p, const i64 *act, Shape s, real *out) { choice_score(p, s.width, *act, out); }
    PART real kl(const real *old, const real *now, Shape s) { return choice_kl(old, now, s.width); }
    PART void kl_gradient(const real *old, const real *now, Shape s, real *out) {
        choice_kl_gradient(old, now, s.width, out);
    }
    PART real entropy(const real *p, Shape s) { return choice_entropy(p, s.width, choice(p, s.width)); }
    PART void entropy_gradient(const real *p, Shape s, real *out) { choice_entropy_gradient(p, s.width, out); }
    PART void fisher_product(const real *p, const real *v, Shape s, real *out) {
        choice_fisher_product(p, v, s.width, out);
    }
};
