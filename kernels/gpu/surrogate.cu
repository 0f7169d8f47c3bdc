// One row a thread; r = exp(log π − log π_old).

KERNEL surrogate(i64 rows, const real *logp, const real *logp_old, const real *adv, real *out) {
    THREAD(i, rows);
    out[i] = exp(logp[i] - logp_old[i]) * adv[i];
}

KERNEL clipped(i64 rows, real clip_range, const real *logp, const real *logp_old, const real *adv, real *out) {
    THREAD(i, rows);
    const real r = exp(logp[i] - logp_old[i]), low = 1 - clip_range, high = 1 + clip_range;
    const real held = (r < low ? low : r > high ? high : r) * adv[i], free = r * adv[i];
    out[i] = held < free ? held : free;
}

KERNEL clipped_gradient(i64 rows, real clip_range, const real *logp, const real *logp_old, const real *adv,
                        real *out) {
    THREAD(i, rows);
    const real r = exp(logp[i] - logp_old[i]);
    const bool beyond = adv[i] > 0 ? r > 1 + clip_range : r < 1 - clip_range;
    out[i] = beyond ? (real)0 : r * adv[i];
}
