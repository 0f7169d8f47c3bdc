// Rollouts: a policy of -DFAMILY in environments of -DPROBLEM, one a thread; one step or all steps in one launch.

// An environment between two steps, in the registers of its thread.
struct Env {
    double state[PROBLEM::STATE];
    i64 elapsed, episode, length, cuts;
    double total;   // rewards of the episode so far
    double finite;  // the sum of all numbers so far: finite if each of them is
};

// Arrays (T, N, …) that a rollout writes; entry e = t·N + n belongs to step t of environment n.
struct Outputs {
    real *rew, *obs, *finals;  // obs after the step; finals (K, N, O): the last ones of truncated episodes
    bool *terminated, *truncated;
    double *ended;  // (…, 2) return and length of the episode, where it ended
};

PART Env load(i64 n, const double *state, const i64 *elapsed, const i64 *episode, const double *returns,
              const i64 *lengths, const i64 *cuts, const double *finite) {
    Env env;
    for (int i = 0; i < PROBLEM::STATE; i++) env.state[i] = state[n * PROBLEM::STATE + i];
    env.elapsed = elapsed[n], env.episode = episode[n], env.total = returns[n], env.length = lengths[n];
    env.cuts = cuts[n], env.finite = finite[n];
    return env;
}

PART void store(Env env, i64 n, double *state, i64 *elapsed, i64 *episode, double *returns, i64 *lengths, i64 *cuts,
                double *finite, float *obs) {
    for (int i = 0; i < PROBLEM::STATE; i++) state[n * PROBLEM::STATE + i] = env.state[i];
    elapsed[n] = env.elapsed, episode[n] = env.episode, returns[n] = env.total, lengths[n] = env.length;
    cuts[n] = env.cuts, finite[n] = env.finite;
    PROBLEM::observe(env.state, obs + n * PROBLEM::OBS);
}

// The action that the environment receives: in single precision, clipped to its bound or, squashed, scaled by tanh.
PART double received(real act, double bound, int squash) {
    if (!squash) return held((float)act, -bound, bound);
    const real share = (1 + tanh(act)) / 2;
    return (float)held((1 - share) * (real)-bound + share * (real)bound, -bound, bound);
}

// One step and, where it ends an episode, the reset: as in cpu/classic_control/rollout.py. Returns the reward.
PART double step_and_reset(Env *env, i64 n, i64 envs, i64 e, i64 time_limit, u64 seed, real act, double action,
                           Outputs to) {
    float obs[PROBLEM::OBS];
    double rew;
    const bool terminated = PROBLEM::step(env->state, env->elapsed == 0, action, &rew);
    const bool truncated = ++env->elapsed >= time_limit && !terminated;
    env->total += rew, env->length++;
    env->finite += (double)act + rew;
    PROBLEM::observe(env->state, obs);
    if (terminated || truncated) {
        to.ended[2 * e] = env->total, to.ended[2 * e + 1] = (double)env->length;
        env->total = 0, env->length = 0;
        if (truncated) {
            for (int j = 0; j < PROBLEM::OBS; j++) {
                to.finals[(env->cuts * envs + n) * PROBLEM::OBS + j] = obs[j];
                env->finite += obs[j];
            }
            env->cuts++;
        }
        begin(seed, n, env->episode++, env->state);
        env->elapsed = 0;
        PROBLEM::observe(env->state, obs);
    }
    to.terminated[e] = terminated, to.truncated[e] = truncated, to.rew[e] = (real)rew;
    for (int j = 0; j < PROBLEM::OBS; j++) {
        to.obs[e * PROBLEM::OBS + j] = obs[j];
        env->finite += obs[j];
    }
    return rew;
}

// Step t of every environment under act (N,); raw_rew (N,) in double precision. Other arrays as in rollout.py.
KERNEL step(i64 envs, i64 t, i64 time_limit, u64 seed, double bound, int squash, const ACTION *act, double *state,
            i64 *elapsed, i64 *episode, double *returns, i64 *lengths, i64 *cuts, double *finite, float *current_obs,
            real *rew, real *obs, real *finals, bool *terminated, bool *truncated, double *ended, double *raw_rew) {
    THREAD(n, envs);
    Env env = load(n, state, elapsed, episode, returns, lengths, cuts, finite);
    const real raw = (real)act[n];
    raw_rew[n] = step_and_reset(&env, n, envs, t * envs + n, time_limit, seed, raw, received(raw, bound, squash),
                                {rew, obs + envs * PROBLEM::OBS, finals, terminated, truncated, ended});
    store(env, n, state, elapsed, episode, returns, lengths, cuts, finite, current_obs);
}

// R ← γ R + r, before its statistics are taken; then the rewards by them, and R ← 0 where an episode ended.
KERNEL discount(i64 envs, double gamma, const double *raw_rew, double *discounted) {
    THREAD(n, envs);
    discounted[n] = gamma * discounted[n] + raw_rew[n];
}

KERNEL scale(i64 envs, double limit, const double *raw_rew, const double *count, const double *square,
             const bool *terminated, const bool *truncated, double *discounted, real *rew) {
    THREAD(n, envs);
    const double deviation = sqrt(square[0] / count[0]), scaled = deviation > 0 ? raw_rew[n] / deviation : raw_rew[n];
    rew[n] = (real)held(scaled, -limit, limit);
    if (terminated[n] || truncated[n]) discounted[n] = 0;
}

// out = φ(h W + b) of one row: eight outputs at a time, every weight read by all threads of a warp at once.
PART void layer(const real *__restrict__ w, int n, int m, const real *h, int activation, real *out) {
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
        for (int k = 0; k < some; k++) out[first + k] = activated(sum[k] + b[first + k], activation);
    }
}

// All steps of every environment under π_θ, with no layer and no row of parameters wider than WIDTH; obs[0] is given.
KERNEL rollout(i64 envs, i64 steps, i64 time_limit, u64 seed, double bound, int squash, int form, real low, real high,
               int width, int depth, int activation, const i64 *sizes, const real *theta, const real *noise,
               double *state, i64 *elapsed, i64 *episode, double *returns, i64 *lengths, i64 *cuts, double *finite,
               float *current_obs, ACTION *act, real *params, real *rew, real *obs, real *finals, bool *terminated,
               bool *truncated, double *ended) {
    THREAD(n, envs);
    Env env = load(n, state, elapsed, episode, returns, lengths, cuts, finite);
    real one[WIDTH], other[WIDTH];
    const int outputs = (int)sizes[depth];
    const Shape shape = {width, 1, sizes};
    const Outputs to = {rew, obs + envs * PROBLEM::OBS, finals, terminated, truncated, ended};
    for (i64 t = 0; t < steps; t++) {
        const i64 e = t * envs + n;
        const real *w = theta;
        for (int j = 0; j < PROBLEM::OBS; j++) one[j] = obs[e * PROBLEM::OBS + j];
        real *h = one, *y = other;
        for (int l = 0; l < depth; l++) {
            const int from = (int)sizes[l], into = (int)sizes[l + 1];
            layer(w, from, into, h, l < depth - 1 ? activation : LINEAR, y);
            w += (from + 1) * into;
            real *input = h;
            h = y, y = input;
        }
        params_of({form, outputs, low, high, nullptr}, h, w, width, params + e * width);
        FAMILY::sample(params + e * width, noise + e, shape, act + e);
        const real raw = (real)act[e];
        step_and_reset(&env, n, envs, e, time_limit, seed, raw, received(raw, bound, squash), to);
    }
    store(env, n, state, elapsed, episode, returns, lengths, cuts, finite, current_obs);
}

// The episodes that ended, and the last observations of truncated ones, in the order of time and environment.
// ends, cut (T·N,): their numbers up to and including each entry.
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
    i64 found = 0;
    for (i64 e = n; e < steps * envs; e += envs) {
        if (!truncated[e]) continue;
        const i64 to = cut[e] - 1, from = found++ * envs + n;
        for (int j = 0; j < PROBLEM::OBS; j++) out[to * PROBLEM::OBS + j] = finals[from * PROBLEM::OBS + j];
        at[to] = e;
    }
}
