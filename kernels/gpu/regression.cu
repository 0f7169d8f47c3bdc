// What a minibatch of a least-squares fit says of each of its rows, `picked` (B,) of target and old, from V (B,).
//
// told: (V − y)². g = −2 (V − y)/B, which is downhill, but 0 where V has left its old value by more than `clip_range`
// and the loss of the clipped V is the greater one: nothing more is to be lost there.
KERNEL residual(i64 rows, real clip_range, const i64 *picked, const real *target, const real *old, const real *value,
                real *g, real *told) {
    THREAD(i, rows);
    const real y = target[picked[i]], before = old[picked[i]], error = value[i] - y, moved = value[i] - before;
    const real held = moved < -clip_range ? -clip_range : moved > clip_range ? clip_range : moved;
    const real clipped = before + held - y;
    const bool learnt = fabs(moved) <= clip_range || error * error >= clipped * clipped;
    g[i] = learnt ? -2 * error / rows : (real)0;
    told[i] = error * error;
}

// The same of all rows, unclipped, and not a mean.
KERNEL misfit(i64 rows, const real *target, const real *value, real *g, real *told) {
    THREAD(i, rows);
    const real e = value[i] - target[i];
    g[i] = 2 * e;
    told[i] = e * e;
}
