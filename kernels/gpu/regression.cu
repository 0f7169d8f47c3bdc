// One row of a minibatch of a least-squares fit: `rows` (B,) of target and old, from V (B,).
//
// square: (V − y)². g = −2 (V − y)/B, which is downhill, but 0 where V left its old value by more than `clip_range` and
// the error of the clipped V is the greater one: the loss is the greater of the two.
KERNEL residuals(i64 threads, real clip_range, const i64 *rows, const real *target, const real *old, const real *value,
                 real *g, real *square) {
    THREAD(i, threads);
    const real y = target[rows[i]], before = old[rows[i]], error = value[i] - y, moved = value[i] - before;
    const real clipped = before + (moved < -clip_range ? -clip_range : moved > clip_range ? clip_range : moved) - y;
    const bool counts = fabs(moved) <= clip_range || error * error >= clipped * clipped;
    g[i] = counts ? -2 * error / threads : (real)0;
    square[i] = error * error;
}
