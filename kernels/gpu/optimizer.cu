// Ascent rules, one parameter a thread; `fresh` is 1 minus the decay beside it.

KERNEL sgd(i64 size, real rate, real momentum, const real *grad, real *theta, real *velocity) {
    THREAD(i, size);
    velocity[i] = momentum * velocity[i] + grad[i];
    theta[i] += rate * velocity[i];
}

KERNEL rmsprop(i64 size, real rate, real decay, real fresh, real epsilon, const real *grad, real *theta,
               real *second) {
    THREAD(i, size);
    second[i] = decay * second[i] + fresh * grad[i] * grad[i];
    theta[i] += rate * grad[i] / sqrt(second[i] + epsilon);
}

// 0 for a subnormal number.
PART real normal(real x) {
    return fabs(x) < (sizeof(real) == 4 ? (real)1.17549435e-38 : (real)2.2250738585072014e-308) ? 0 : x;
}

// `rate` and `correction2` contain the bias corrections.
KERNEL adam(i64 size, real rate, real beta1, real fresh1, real beta2, real fresh2, real correction2, real epsilon,
            const real *grad, real *theta, real *first, real *second) {
    THREAD(i, size);
    const real m = beta1 * first[i] + fresh1 * grad[i], s = beta2 * second[i] + fresh2 * grad[i] * grad[i];
    first[i] = normal(m);
    second[i] = normal(s);
    theta[i] += rate * first[i] / (sqrt(second[i] * correction2) + epsilon);
}

// out = g · min(1, c/‖g‖), with ‖g‖² in square (1,); out may be g.
KERNEL clip_norm(i64 size, double max_norm, const double *square, const real *grad, real *out) {
    THREAD(i, size);
    const double norm = sqrt(square[0]);
    out[i] = norm > max_norm ? (real)(max_norm / norm) * grad[i] : grad[i];
}
