// Kernels of one thread a row, for the distributions of -DFAMILY, whose actions are of type -DACTION.

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

// What a change of a row's outputs is worth, in one pass: from the outputs to g (B, n), tail (B, D − n), told (B, 2).
//
// u = [w ∇log π(a) − β ∇KL + c ∇H] / B with w = r Â where the clip lets it; told: KL(old‖π), and whether r is beyond ε.
// picked (B,): the rows of act, adv, old, logp_old; params, u, more (B, D) are work.
KERNEL proximal(i64 rows, int width, int acts, const i64 *sizes, int form, int n, real low, real high, const real *out,
                const real *log_std, const i64 *picked, const ACTION *act, const real *adv, const real *old,
                const real *logp_old, real clip_range, real beta, real bonus, int wants_kl, real *params, real *u,
                real *more, real *g, real *tail, real *told) {
    THREAD(i, rows);
    const Shape shape = SHAPE;
    const Head head = {form, n, low, high};
    const i64 row = picked[i];
    const ACTION *a = act + row * acts;
    const real *before = old + row * width, share = (real)1 / rows;
    real *p = params + i * width, *x = u + i * width, *y = more + i * width;
    head_parameters(head, out + i * n, log_std, width, p);

    const real r = exp(FAMILY::log_prob(p, a, shape) - logp_old[row]), gain = adv[row];
    const bool beyond = gain > 0 ? r > 1 + clip_range : r < 1 - clip_range;
    const real weight = beyond ? (real)0 : share * r * gain;
    FAMILY::score(p, a, shape, x);
    for (int j = 0; j < width; j++) x[j] *= weight;
    if (beta != 0) {
        FAMILY::kl_gradient(before, p, shape, y);
        for (int j = 0; j < width; j++) x[j] -= share * beta * y[j];
    }
    if (bonus != 0) {
        FAMILY::entropy_gradient(p, shape, y);
        for (int j = 0; j < width; j++) x[j] += share * bonus * y[j];
    }
    told[2 * i] = wants_kl ? FAMILY::kl(before, p, shape) : (real)0;
    told[2 * i + 1] = fabs(r - 1) > clip_range;
    head_times_slope(head, out + i * n, x, g + i * n);
    for (int j = n; j < width; j++) tail[i * (width - n) + j - n] = x[j];
}

// The same of weight ∇log π(a) + c ∇H.   params (B, D), u, more (B, D) are work.
KERNEL ascent(i64 rows, int width, int acts, const i64 *sizes, int form, int n, real low, real high, const real *out,
              const real *params, const ACTION *act, const real *weight, real bonus, real *u, real *more, real *g,
              real *tail) {
    THREAD(i, rows);
    const Shape shape = SHAPE;
    const real *p = params + i * width;
    real *x = u + i * width, *y = more + i * width;
    FAMILY::score(p, act + i * acts, shape, x);
    for (int j = 0; j < width; j++) x[j] *= weight[i];
    if (bonus != 0) {
        FAMILY::entropy_gradient(p, shape, y);
        for (int j = 0; j < width; j++) x[j] += bonus * y[j];
    }
    head_times_slope({form, n, low, high}, out + i * n, x, g + i * n);
    for (int j = n; j < width; j++) tail[i * (width - n) + j - n] = x[j];
}

// r Â, KL(old‖π) and H of a row, from its outputs → told (B, 3).   params (B, D) is work.
KERNEL worth(i64 rows, int width, int acts, const i64 *sizes, int form, int n, real low, real high, const real *out,
             const real *log_std, const ACTION *act, const real *adv, const real *old, const real *logp_old,
             int wants_entropy, real *params, real *told) {
    THREAD(i, rows);
    const Shape shape = SHAPE;
    real *p = params + i * width;
    head_parameters({form, n, low, high}, out + i * n, log_std, width, p);
    told[3 * i] = exp(FAMILY::log_prob(p, act + i * acts, shape) - logp_old[i]) * adv[i];
    told[3 * i + 1] = FAMILY::kl(old + i * width, p, shape);
    told[3 * i + 2] = wants_entropy ? FAMILY::entropy(p, shape) : (real)0;
}
