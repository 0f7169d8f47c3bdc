// K independent choices, the k-th among sizes[k]: logits side by side; log-probabilities, KL and entropy add up.
struct Multicategorical {
    PART void sample(const real *p, const real *noise, Shape s, i64 *act) {
        for (int k = 0; k < s.acts; p += s.sizes[k++]) act[k] = choice_sample(p, s.sizes[k], noise[k]);
    }
    PART void mode(const real *p, Shape s, i64 *act) {
        for (int k = 0; k < s.acts; p += s.sizes[k++]) act[k] = choice_mode(p, s.sizes[k]);
    }
    PART real log_prob(const real *p, const i64 *act, Shape s) {
        real total = 0;
        for (int k = 0; k < s.acts; p += s.sizes[k++]) {
            const Choice c = choice(p, s.sizes[k]);
            total += p[act[k]] - c.m - c.s;
        }
        return total;
    }
    PART void score(const real *p, const i64 *act, Shape s, real *out) {
        for (int k = 0; k < s.acts; p += s.sizes[k], out += s.sizes[k++]) choice_score(p, s.sizes[k], act[k], out);
    }
    PART real kl(const real *old, const real *now, Shape s) {
        real total = 0;
        for (int k = 0; k < s.acts; old += s.sizes[k], now += s.sizes[k++]) total += choice_kl(old, now, s.sizes[k]);
        return total;
    }
    PART void kl_gradient(const real *old, const real *now, Shape s, real *out) {
        for (int k = 0; k < s.acts; old += s.sizes[k], now += s.sizes[k], out += s.sizes[k++])
            choice_kl_gradient(old, now, s.sizes[k], out);
    }
    PART real entropy(const real *p, Shape s) {
        real total = 0;
        for (int k = 0; k < s.acts; p += s.sizes[k++]) total += choice_entropy(p, s.sizes[k], choice(p, s.sizes[k]));
        return total;
    }
    PART void entropy_gradient(const real *p, Shape s, real *out) {
        for (int k = 0; k < s.acts; p += s.sizes[k], out += s.sizes[k++]) choice_entropy_gradient(p, s.sizes[k], out);
    }
    PART void fisher_product(const real *p, const real *v, Shape s, real *out) {
        for (int k = 0; k < s.acts; p += s.sizes[k], v += s.sizes[k], out += s.sizes[k++])
            choice_fisher_product(p, v, s.sizes[k], out);
    }
};
