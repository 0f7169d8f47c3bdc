// φ(y), NaN for NaN, and φ′ y from the activation's value h; the last layer is LINEAR.
enum { TANH, RELU, LINEAR };

PART real activated(real y, int activation) {
    return activation == TANH ? tanh(y) : (activation == RELU && y < 0 ? (real)0 : y);
}

PART real times_slope_of(real y, real h, int activation) {
    return activation == TANH ? y * (1 - h * h) : (activation == LINEAR || h > 0 ? y : (real)0);
}
