// φ(y): tanh (0), ReLU (1) or y itself (2, the last layer), NaN for NaN; and φ′ y, from the activation's value h.
PART real activated(real y, int activation) {
    return activation == 0 ? tanh(y) : (activation == 1 && y < 0 ? (real)0 : y);
}
PART real times_slope_of(real y, real h, int activation) {
    return activation == 0 ? y * (1 - h * h) : (activation == 2 || h > 0 ? y : (real)0);
}
