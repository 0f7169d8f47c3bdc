// Kernels of one row a thread, for the distributions of -DFAMILY, with actions of type -DACTION.

#define SHAPE {width, acts, sizes}

KERNEL sample(i64 rows, int width, int acts, const i64 *sizes, const real *params, const real *noise, ACTION *act) {
    THREAD(i, rows);
    FAMILY::sample(params + i * width, noise + i * acts, SHAPE, act + i * acts);
}

KERNEL mode(i64 rows, int width, int acts, const i64 *sizes, const real *params, ACTION *act) {
    THREAD(i, rows);
    FAMILY::mode(params + i * width, SHAPE, act + i * acts);
}

KERNEL log_prob(i64 rows, int width, int acts, const i64 *sizes, const real *params, const ACTION *act, real *out) {
    THREAD(i, rows);
    out[i] = FAMILY::log_prob(params + i * width, act + i * acts, SHAPE);
}

KERNEL score(i64 rows, int width, int acts, const i64 *sizes, const real *params, const ACTION *act, real *out) {
    THREAD(i, rows);
    FAMILY::score(params + i * width, act + i * acts, SHAPE, out + i * width);
}

KERNEL kl(i64 rows, int width, int acts, const i64 *sizes, const real *old, const real *now, real *out) {
    THREAD(i, rows);
    out[i] = FAMILY::kl(old + i * width, now + i * width, SHAPE);
}

KERNEL kl_gradient(i64 rows, int width, int acts, const i64 *sizes, const real *old, const real *now, real *out) {
    THREAD(i, rows);
    FAMILY::kl_gradient(old + i * width, now + i * width, SHAPE, out + i * width);
}

KERNEL entropy(i64 rows, int width, int acts, const i64 *sizes, const real *params, real *out) {
    THREAD(i, rows);
    out[i] = FAMILY::entropy(params + i * width, SHAPE);
}

KERNEL entropy_gradient(i64 rows, int width, int acts, const i64 *sizes, const real *params, real *out) {
    THREAD(i, rows);
    FAMILY::entropy_gradient(params + i * width, SHAPE, out + i * width);
}

KERNEL fisher_product(i64 rows, int width, int acts, const i64 *sizes, const real *params, const real *v, real *out) {
    THREAD(i, rows);
    FAMILY::fisher_product(params + i * width, v + i * width, SHAPE, out + i * width);
}

// M J v pulled back to the outputs: d_out (B, n) and d_log_std (D − n) → g (B, n), tail (B, D − n).   u (B, D) is work.
KERNEL fisher_of_outputs(i64 rows, int width, int acts, const i64 *sizes, const real *params, int form, int n, real low,
                         real high, int inputs, const real *obs, const real *out, const real *d_out,
                         const real *d_log_std, real *u, real *g, real *tail) {
    THREAD(i, rows);
    const Shape shape = SHAPE;
    const Form f = {form, n, low, high, obs + i * inputs};
    real *x = u + i * width;
    times_derivative(f, out + i * n, d_out + i * n, x);
    for (int j = n; j < width; j++) x[j] = d_log_std[j - n];
    FAMILY::fisher_product(params + i * width, x, shape, x);
    pulled_back(f, out + i * n, x, width, g + i * n, tail + i * (width - n));
}

// The gradient of the clipped surrogate in one row, from the outputs: g (B, n), tail (B, D − n), stats (B, 2).
//
// u = [w ∇log π(a) − β ∇KL + c ∇H] / B with w = r Â unless clipped; stats: KL(old‖π), and whether r is beyond ε.
// picked (B,) are the rows of act, adv, old, logp_old; params, u, v (B, D) are work.
KERNEL surrogate_gradient(i64 rows, int width, int acts, const i64 *sizes, real *params, int form, int n, real low,
                          real high, int inputs, const real *obs, const real *out, const real *log_std,
                          const i64 *picked, const ACTION *act, const real *adv, const real *old, const real *logp_old,
                          real clip_range, real beta, real entropy_weight, int wants_kl, real *u, real *v, real *g,
                          real *tail, real *stats) {
    THREAD(i, rows);
    const Shape shape = SHAPE;
    const Form f = {form, n, low, high, obs + i * inputs};
    const i64 row = picked[i];
    const ACTION *a = act + row * acts;
    const real *p_old = old + row * width, share = (real)1 / rows;
    real *p = params + i * width, *x = u + i * width, *y = v + i * width;
    params_of(f, out + i * n, log_std, width, p);

    const real r = exp(FAMILY::log_prob(p, a, shape) - logp_old[row]), gain = adv[row];
    const bool beyond = gain > 0 ? r > 1 + clip_range : r < 1 - clip_range;
    const real weight = beyond ? (real)0 : share * r * gain;
    FAMILY::score(p, a, shape, x);
    for (int j = 0; j < width; j++) x[j] *= weight;
    if (beta != 0) {
        FAMILY::kl_gradient(p_old, p, shape, y);
        for (int j = 0; j < width; j++) x[j] -= share * beta * y[j];
    }
    if (entropy_weight != 0) {
        FAMILY::entropy_gradient(p, shape, y);
        for (int j = 0; j < width; j++) x[j] += share * entropy_weight * y[j];
    }
    stats[2 * i] = wants_kl ? FAMILY::kl(p_old, p, shape) : (real)0;
    stats[2 * i + 1] = fabs(r - 1) > clip_range;
    pulled_back(f, out + i * n, x, width, g + i * n, tail + i * (width - n));
}

// The gradient of weight log π(a) + c H in one row, from the parameters (B, D).   u, v (B, D) are work.
KERNEL policy_gradient(i64 rows, int width, int acts, const i64 *sizes, const real *params, int form, int n, real low,
                       real high, int inputs, const real *obs, const real *out, const ACTION *act, const real *weight,
                       real entropy_weight, real *u, real *v, real *g, real *tail) {
    THREAD(i, rows);
    const Shape shape = SHAPE;
    const real *p = params + i * width;
    real *x = u + i * width, *y = v + i * width;
    FAMILY::score(p, act + i * acts, shape, x);
    for (int j = 0; j < width; j++) x[j] *= weight[i];
    if (entropy_weight != 0) {
        FAMILY::entropy_gradient(p, shape, y);
        for (int j = 0; j < width; j++) x[j] += entropy_weight * y[j];
    }
    pulled_back({form, n, low, high, obs + i * inputs}, out + i * n, x, width, g + i * n, tail + i * (width - n));
}

// r Â, KL(old‖π) and H of one row, from the outputs → stats (B, 3).   params (B, D) is work.
KERNEL surrogate_value(i64 rows, int width, int acts, const i64 *sizes, real *params, int form, int n, real low,
                       real high, int inputs, const real *obs, const real *out, const real *log_std, const ACTION *act,
                       const real *adv, const real *old, const real *logp_old, int wants_entropy, real *stats) {
    THREAD(i, rows);
    const Shape shape = SHAPE;
    real *p = params + i * width;
    params_of({form, n, low, high, obs + i * inputs}, out + i * n, log_std, width, p);
    stats[3 * i] = exp(FAMILY::log_prob(p, act + i * acts, shape) - logp_old[i]) * adv[i];
    stats[3 * i + 1] = FAMILY::kl(old + i * width, p, shape);
    stats[3 * i + 2] = wants_entropy ? FAMILY::entropy(p, shape) : (real)0;
}
