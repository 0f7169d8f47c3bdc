// Diagonal Gaussian over A dimensions: a row is (μ, log σ); z = (a − μ)/σ.
struct Gaussian {
    PART void sample(const real *p, const real *noise, Shape s, real *act) {
        for (int j = 0; j < s.acts; j++) act[j] = p[j] + exp(p[s.acts + j]) * noise[j];
    }

    PART void mode(const real *p, Shape s, real *act) {
        for (int j = 0; j < s.acts; j++) act[j] = p[j];
    }

    PART real log_prob(const real *p, const real *act, Shape s) {
        real total = 0;
        for (int j = 0; j < s.acts; j++) {
            const real log_std = p[s.acts + j], z = (act[j] - p[j]) * exp(-log_std);
            total += z * z + 2 * log_std + (real)1.8378770664093453;  // log 2π
        }
        return (real)-0.5 * total;
    }

    PART void score(const real *p, const real *act, Shape s, real *out) {
        for (int j = 0; j < s.acts; j++) {
            const real inverse_std = exp(-p[s.acts + j]), z = (act[j] - p[j]) * inverse_std;
            out[j] = z * inverse_std;
            out[s.acts + j] = z * z - 1;
        }
    }

    // ½ Σ [eᵈ − 1 − d + z²], d = 2 (log σ₀ − log σ₁): no cancellation where the two are close.
    PART real kl(const real *old, const real *now, Shape s) {
        real total = 0;
        for (int j = 0; j < s.acts; j++) {
            const real d = 2 * (old[s.acts + j] - now[s.acts + j]), z = (old[j] - now[j]) * exp(-now[s.acts + j]);
            total += expm1(d) - d + z * z;
        }
        return (real)0.5 * total;
    }

    PART void kl_gradient(const real *old, const real *now, Shape s, real *out) {
        for (int j = 0; j < s.acts; j++) {
            const real inverse_std = exp(-now[s.acts + j]), z = (now[j] - old[j]) * inverse_std;
            out[j] = z * inverse_std;
            out[s.acts + j] = -expm1(2 * (old[s.acts + j] - now[s.acts + j])) - z * z;
        }
    }

    PART real entropy(const real *p, Shape s) {
        real total = 0;
        for (int j = 0; j < s.acts; j++) total += p[s.acts + j] + (real)1.4189385332046727;  // ½ log 2πe
        return total;
    }

    PART void entropy_gradient(const real *p, Shape s, real *out) {
        for (int j = 0; j < s.acts; j++) out[j] = 0, out[s.acts + j] = 1;
    }

    PART void fisher_product(const real *p, const real *v, Shape s, real *out) {
        for (int j = 0; j < s.acts; j++) {
            const real inverse_std = exp(-p[s.acts + j]);
            out[j] = v[j] * inverse_std * inverse_std;
            out[s.acts + j] = 2 * v[s.acts + j];
        }
    }
};
