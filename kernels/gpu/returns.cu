// Scans over time of arrays (T, N), one environment a thread.

KERNEL discounted_returns(i64 envs, i64 steps, real gamma, const real *rew, const real *next_value,
                          const bool *terminated, const bool *truncated, real *out) {
    THREAD(n, envs);
    real following = steps ? next_value[(steps - 1) * envs + n] : (real)0;
    for (i64 t = steps - 1; t >= 0; t--) {
        const i64 e = t * envs + n;
        if (truncated[e]) following = next_value[e];
        out[e] = following = rew[e] + (terminated[e] ? (real)0 : gamma * following);
    }
}

KERNEL gae(i64 envs, i64 steps, real decay, const real *delta, const bool *terminated, const bool *truncated,
           real *out) {
    THREAD(n, envs);
    real following = 0;
    for (i64 t = steps - 1; t >= 0; t--) {
        const i64 e = t * envs + n;
        out[e] = following = delta[e] + (terminated[e] || truncated[e] ? (real)0 : decay * following);
    }
}
