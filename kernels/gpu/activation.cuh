// φ(y): tanh (0) or ReLU (1), NaN for NaN; and φ′ as a factor of y, read off the activation's value h.
PART real activated(real y, int activation) { return activation == 0 ? tanh(y) : (y < 0 ? (real)0 : y); }
PART real bent(real y, real h, int activation) { return activation == 0 ? y * (1 - h * h) : (h > 0 ? y : (real)0); }
