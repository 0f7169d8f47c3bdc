// Rollouts: a policy of -DFAMILY in environments of -DPROBLEM, one a thread, for all steps in one launch or for one.

// An environment between two steps, as a thread holds it.
struct Place {
    double state[PROBLEM::STATE];
    i64 elapsed, episode, length, cuts;
    double total;   // what the episode has paid so far
    double finite;  // the sum of all that was met: finite where every number was
};

// What a rollout leaves of the step t of environment n, e = t·N + n.
struct Record {
    real *rew, *obs, *finals;  // obs (…, O) after the step, finals (K, N, O) the last ones of truncated episodes
    bool *terminated, *truncated;
    double *ended;  // (…, 2) return and length of the episode, where it ended
};

PART Place place_of(i64 n, const double *state, const i64 *elapsed, const i64 *episode, const double *returns,
                    const i64 *lengths, const i64 *cuts, const double *finite) {
    Place here;
    for (int i = 0; i < PROBLEM::STATE; i++) here.state[i] = state[n * PROBLEM::STATE + i];
    here.elapsed = elapsed[n], here.episode = episode[n], here.total = returns[n], here.length = lengths[n];
    here.cuts = cuts[n], here.finite = finite[n];
    return here;
}

PART void put_back(Place here, i64 n, double *state, i64 *elapsed, i64 *episode, double *returns, i64 *lengths,
                   i64 *cuts, double *finite, float *shown) {
    for (int i = 0; i < PROBLEM::STATE; i++) state[n * PROBLEM::STATE + i] = here.state[i];
    elapsed[n] = here.elapsed, episode[n] = here.episode, returns[n] = here.total, lengths[n] = here.length;
    cuts[n] = here.cuts, finite[n] = here.finite;
    PROBLEM::observe(here.state, shown + n * PROBLEM::OBS);
}

// What the environment is told: the action in single precision, clipped to its bound or, squashed, scaled to it by tanh.
PART double told_by(real act, double bound, int squash) {
    if (!squash) return held((float)act, -bound, bound);
    const real share = (1 + tanh(act)) / 2;
    return (float)held((1 - share) * (real)-bound + share * (real)bound, -bound, bound);
}

// One step, and where it ends an episode the first state of the next one: as rollout.py of the compiled twin has it.
// → what the step paid
PART double play(Place *here, i64 n, i64 envs, i64 e, i64 time_limit, u64 seed, real act, double told, Record to) {
    float shown[PROBLEM::OBS];
    double paid;
    const bool terminated = PROBLEM::step(here->state, here->elapsed == 0, told, &paid);
    const bool truncated = ++here->elapsed >= time_limit && !terminated;
    here->total += paid, here->length++;
    here->finite += (double)act + paid;
    PROBLEM::observe(here->state, shown);
    if (terminated || truncated) {
        to.ended[2 * e] = here->total, to.ended[2 * e + 1] = (double)here->length;
        here->total = 0, here->length = 0;
        if (truncated) {
            for (int j = 0; j < PROBLEM::OBS; j++) {
                to.finals[(here->cuts * envs + n) * PROBLEM::OBS + j] = shown[j];
                here->finite += shown[j];
            }
            here->cuts++;
        }
        begin(seed, n, here->episode++, here->state);
        here->elapsed = 0;
        PROBLEM::observe(here->state, shown);
    }
    to.terminated[e] = terminated, to.truncated[e] = truncated, to.rew[e] = (real)paid;
    for (int j = 0; j < PROBLEM::OBS; j++) {
        to.obs[e * PROBLEM::OBS + j] = shown[j];
        here->finite += shown[j];
    }
    return paid;
}

// One step of every environment under act (N,), of those that rollout.py makes; paid (N,) in double precision.
KERNEL settle(i64 envs, i64 t, i64 time_limit, u64 seed, double bound, int squash, const ACTION *act, double *state,
              i64 *elapsed, i64 *episode, double *returns, i64 *lengths, i64 *cuts, double *finite, float *shown,
              real *rew, real *obs, real *finals, bool *terminated, bool *truncated, double *ended, double *paid) {
    THREAD(n, envs);
    Place here = place_of(n, state, elapsed, episode, returns, lengths, cuts, finite);
    const real raw = (real)act[n];
    paid[n] = play(&here, n, envs, t * envs + n, time_limit, seed, raw, told_by(raw, bound, squash),
                   {rew, obs + envs * PROBLEM::OBS, finals, terminated, truncated, ended});
    put_back(here, n, state, elapsed, episode, returns, lengths, cuts, finite, shown);
}

// R ← γ R + r, before its statistics are taken; then the rewards by them, and R ← 0 where an episode ended.
KERNEL discount(i64 envs, double gamma, const double *paid, double *running) {
    THREAD(n, envs);
    running[n] = gamma * running[n] + paid[n];
}

KERNEL pay(i64 envs, double limit, const double *paid, const double *count, const double *square,
           const bool *terminated, const bool *truncated, double *running, real *rew) {
    THREAD(n, envs);
    const double scale = sqrt(square[0] / count[0]), scaled = scale > 0 ? paid[n] / scale : paid[n];
    rew[n] = (real)held(scaled, -limit, limit);
    if (terminated[n] || truncated[n]) running[n] = 0;
}

// out = h W + b, or φ of that, of one row: eight outputs at a time, every weight read by all threads of a warp at once.
PART void layer(const real *__restrict__ w, int n, int m, const real *h, bool hidden, int activation, real *out) {
    const real *b = w + n * m;
    for (int first = 0; first < m; first += 8) {
        real sum[8] = {0, 0, 0, 0, 0, 0, 0, 0};
        const int some = m - first < 8 ? m - first : 8;
        if (some == 8) {
            for (int i = 0; i < n; i++)
                for (int k = 0; k < 8; k++) sum[k] = fma(h[i], w[i * m + first + k], sum[k]);
        } else {
            for (int i = 0; i < n; i++)
                for (int k = 0; k < some; k++) sum[k] = fma(h[i], w[i * m + first + k], sum[k]);
        }
        for (int k = 0; k < some; k++) {
            const real y = sum[k] + b[first + k];
            out[first + k] = hidden ? activated(y, activation) : y;
        }
    }
}

// All steps of every environment under π_θ, no layer nor row of parameters wider than WIDTH; obs[0] is what they show.
KERNEL rollout(i64 envs, i64 steps, i64 time_limit, u64 seed, double bound, int squash, int form, real low, real high,
               int width, int depth, int activation, const i64 *sizes, const real *theta, const real *noise,
               double *state, i64 *elapsed, i64 *episode, double *returns, i64 *lengths, i64 *cuts, double *finite,
               float *shown, ACTION *act, real *params, real *rew, real *obs, real *finals, bool *terminated,
               bool *truncated, double *ended) {
    THREAD(n, envs);
    Place here = place_of(n, state, elapsed, episode, returns, lengths, cuts, finite);
    real one[WIDTH], other[WIDTH];
    const int outputs = (int)sizes[depth];
    const Shape shape = {width, 1, sizes};
    const Record to = {rew, obs + envs * PROBLEM::OBS, finals, terminated, truncated, ended};
    for (i64 t = 0; t < steps; t++) {
        const i64 e = t * envs + n;
        const real *w = theta;
        for (int j = 0; j < PROBLEM::OBS; j++) one[j] = obs[e * PROBLEM::OBS + j];
        real *h = one, *y = other;
        for (int l = 0; l < depth; l++) {
            const int from = (int)sizes[l], into = (int)sizes[l + 1];
            layer(w, from, into, h, l < depth - 1, activation, y);
            w += (from + 1) * into;
            real *turned = h;
            h = y, y = turned;
        }
        params_of({form, outputs, low, high}, h, w, width, params + e * width);
        FAMILY::sample(params + e * width, noise + e, shape, act + e);
        const real raw = (real)act[e];
        play(&here, n, envs, e, time_limit, seed, raw, told_by(raw, bound, squash), to);
    }
    put_back(here, n, state, elapsed, episode, returns, lengths, cuts, finite, shown);
}

// The episodes that ended, and the last observations of those that were cut, in the order of time and environment:
// `ends`, `cut` (T·N,) count them up to and with each entry.
KERNEL gather_ends(i64 entries, const bool *terminated, const bool *truncated, const i64 *ends, const double *ended,
                   double *out) {
    THREAD(e, entries);
    if (!terminated[e] && !truncated[e]) return;
    out[2 * (ends[e] - 1)] = ended[2 * e];
    out[2 * (ends[e] - 1) + 1] = ended[2 * e + 1];
}

KERNEL gather_finals(i64 envs, i64 steps, const bool *truncated, const i64 *cut, const real *finals, real *out,
                     i64 *at) {
    THREAD(n, envs);
    i64 met = 0;
    for (i64 e = n; e < steps * envs; e += envs) {
        if (!truncated[e]) continue;
        const i64 to = cut[e] - 1, from = met++ * envs + n;
        for (int j = 0; j < PROBLEM::OBS; j++) out[to * PROBLEM::OBS + j] = finals[from * PROBLEM::OBS + j];
        at[to] = e;
    }
}
