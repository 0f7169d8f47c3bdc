// The car with a continuous force: kernels/cpu/classic_control/mountain_car_continuous.py, precision by precision.
struct MountainCarContinuous : Car {
    // To single precision unless this is the first step.
    PART double rounded(double x, bool fresh) { return fresh ? x : (double)(float)x; }

    PART double slope(double x, bool fresh, double act) {
        const double pull = 0.0025 * cos(rounded(3 * x, fresh));
        if (act < -1 || act > 1) return (act < -1 ? -0.0015 : 0.0015) - pull;
        const float drive = (float)act * (float)0.0015;
        return drive - (float)pull;
    }

    PART bool step(double *state, bool fresh, double act, double *rew) {
        double x = state[0], v = state[1];
        v = rounded(v + rounded(slope(x, fresh, act), fresh), fresh);
        v = held(v, rounded(-0.07, fresh), rounded(0.07, fresh));
        x = rounded(x + v, fresh);
        x = held(x, rounded(-1.2, fresh), rounded(0.6, fresh));
        if (x == rounded(-1.2, fresh) && v < 0) v = 0.0;
        const bool terminated = x >= rounded(0.45, fresh) && v >= 0;
        state[0] = (float)x;
        state[1] = (float)v;
        *rew = (terminated ? 100.0 : 0.0) - act * act * 0.1;
        return terminated;
    }
};
