// From a row of a network's n outputs to the D parameters of its distribution: the outputs themselves (form 0),
// the outputs and log σ (1), the outputs with their second half bounded by h tanh(z/h), h the bound on z's side (2),
// or logits, those of actions whose number in the mask is 0 being set to MASKED (3).
#define MASKED (real)(-1e9)

struct Form {
    int form, n;
    real low, high;
    const real *mask;  // the beginning of the observation
};

PART real bound_beside(Form f, real z) { return z > 0 ? f.high : -f.low; }

PART void params_of(Form f, const real *out, const real *log_std, int width, real *params) {
    for (int j = 0; j < f.n; j++) {
        const bool bounded = f.form == 2 && j >= f.n / 2;
        const real bound = bound_beside(f, out[j]);
        params[j] = bounded ? bound * tanh(out[j] / bound) : out[j];
        if (f.form == 3 && f.mask[j] == 0) params[j] = MASKED;
    }
    for (int j = f.n; j < width; j++) params[j] = log_std[j - f.n];
}

// y ← x times the derivative of that map, which is diagonal: the tangent of the map, and its adjoint. Nothing is left to
// do for a masked logit: the covectors of a family are 0 there, and so is its Fisher product with any tangent.
PART void times_derivative(Form f, const real *out, const real *x, real *y) {
    for (int j = 0; j < f.n; j++) {
        y[j] = x[j];
        if (f.form == 2 && j >= f.n / 2) {
            const real h = tanh(out[j] / bound_beside(f, out[j]));
            y[j] *= 1 - h * h;
        }
    }
}

// The adjoint of a row: covectors x of the parameters → g of the outputs and tail (D − n) of log σ.
PART void pulled_back(Form f, const real *out, const real *x, int width, real *g, real *tail) {
    times_derivative(f, out, x, g);
    for (int j = f.n; j < width; j++) tail[j - f.n] = x[j];
}
