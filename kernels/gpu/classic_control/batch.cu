// N environments of -DPROBLEM side by side, one a thread.
//
// The first state of episode e in environment n is made of the block of Philox with key (seed, 0) and counter
// (1, e, n, 0), which NumPy draws from Philox(key=seed, counter=[0, e, n, 0]).

PART void begin(u64 seed, i64 n, i64 episode, double *state) {
    const Words words = philox(1, episode, n, 0, seed, 0);
    double u[4];
    for (int k = 0; k < 4; k++) u[k] = uniform_of(words.w[k]);
    PROBLEM::begin(u, state);
}

// One step of the environments in `where`; the others have reward 0 and do not change.
KERNEL advance(i64 envs, i64 time_limit, const bool *where, const double *act, double *state, i64 *elapsed, float *obs,
               double *rew, bool *terminated, bool *truncated) {
    THREAD(n, envs);
    rew[n] = 0, terminated[n] = truncated[n] = false;
    if (!where[n]) return;
    terminated[n] = PROBLEM::step(state + n * PROBLEM::STATE, elapsed[n] == 0, act[n], rew + n);
    truncated[n] = ++elapsed[n] >= time_limit;
    PROBLEM::observe(state + n * PROBLEM::STATE, obs + n * PROBLEM::OBS);
}

// Reset the environments in `where`; `episode` counts the episodes of each.
KERNEL restart(i64 envs, u64 seed, const bool *where, double *state, i64 *elapsed, i64 *episode, float *obs) {
    THREAD(n, envs);
    if (!where[n]) return;
    begin(seed, n, episode[n]++, state + n * PROBLEM::STATE);
    elapsed[n] = 0;
    PROBLEM::observe(state + n * PROBLEM::STATE, obs + n * PROBLEM::OBS);
}
