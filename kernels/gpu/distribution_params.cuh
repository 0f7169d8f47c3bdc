// Between a row of a network's n outputs and the D parameters of its distribution: the outputs themselves (form 0),
// those and log σ (1), or those with their second half bounded by h tanh(z/h), h the bound on z's side (2).
struct Head {
    int form, n;
    real low, high;
};

PART real head_reach(Head head, real z) { return z > 0 ? head.high : -head.low; }

PART void head_parameters(Head head, const real *out, const real *log_std, int width, real *params) {
    for (int j = 0; j < head.n; j++) {
        const bool bounded = head.form == 2 && j >= head.n / 2;
        const real reach = head_reach(head, out[j]);
        params[j] = bounded ? reach * tanh(out[j] / reach) : out[j];
    }
    for (int j = head.n; j < width; j++) params[j] = log_std[j - head.n];
}

// y ← x times the derivative of that map, a diagonal: what moves forward, and what is pulled back.
PART void head_times_slope(Head head, const real *out, const real *x, real *y) {
    for (int j = 0; j < head.n; j++) {
        y[j] = x[j];
        if (head.form == 2 && j >= head.n / 2) {
            const real h = tanh(out[j] / head_reach(head, out[j]));
            y[j] *= 1 - h * h;
        }
    }
}
