// D independent bits, from logits z; p = 1/(1 + e^{−z}) the probability of a 1.
PART real softplus(real z) { return (z > 0 ? z : (real)0) + log1p(exp(-fabs(z))); }  // log(1 + eᶻ)
PART real sigmoid(real z) {
    const real small = exp(-fabs(z));
    return (z >= 0 ? (real)1 : small) / (1 + small);
}

struct Bernoulli {
    PART void sample(const real *z, const real *noise, Shape s, i64 *act) {
        for (int j = 0; j < s.width; j++) act[j] = noise[j] < sigmoid(z[j]);
    }

    PART void mode(const real *z, Shape s, i64 *act) {
        for (int j = 0; j < s.width; j++) act[j] = z[j] > 0;
    }

    PART real log_prob(const real *z, const i64 *act, Shape s) {
        real total = 0;
        for (int j = 0; j < s.width; j++) total -= softplus(act[j] == 1 ? -z[j] : z[j]);
        return total;
    }

    PART void score(const real *z, const i64 *act, Shape s, real *out) {
        for (int j = 0; j < s.width; j++) out[j] = (real)act[j] - sigmoid(z[j]);
    }

    PART real kl(const real *old, const real *now, Shape s) {
        real total = 0;
        for (int j = 0; j < s.width; j++) {
            total += sigmoid(old[j]) * (softplus(-now[j]) - softplus(-old[j]));
            total += sigmoid(-old[j]) * (softplus(now[j]) - softplus(old[j]));
        }
        return total;
    }

    PART void kl_gradient(const real *old, const real *now, Shape s, real *out) {
        for (int j = 0; j < s.width; j++) out[j] = sigmoid(now[j]) - sigmoid(old[j]);
    }

    PART real entropy(const real *z, Shape s) {
        real total = 0;
        for (int j = 0; j < s.width; j++) total += sigmoid(z[j]) * softplus(-z[j]) + sigmoid(-z[j]) * softplus(z[j]);
        return total;
    }

    PART void entropy_gradient(const real *z, Shape s, real *out) {
        for (int j = 0; j < s.width; j++) out[j] = -z[j] * sigmoid(z[j]) * sigmoid(-z[j]);
    }

    PART void fisher_product(const real *z, const real *v, Shape s, real *out) {
        for (int j = 0; j < s.width; j++) out[j] = sigmoid(z[j]) * sigmoid(-z[j]) * v[j];
    }
};
