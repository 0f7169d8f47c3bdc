// The pendulum: kernels/cpu/classic_control/pendulum.py, precision by precision; a square is x·x.
struct Pendulum {
    enum { STATE = 2, OBS = 3 };

    PART void begin(const double *u, double *state) {
        state[0] = -PI + (PI + PI) * u[0];
        state[1] = -1.0 + (1.0 + 1.0) * u[1];
    }

    PART void observe(const double *state, float *obs) {
        obs[0] = (float)cos(state[0]);
        obs[1] = (float)sin(state[0]);
        obs[2] = (float)state[1];
    }

    // x mod m ≥ 0, as Python has it for m > 0.
    PART double modulo(double x, double m) {
        const double rest = fmod(x, m);
        return rest < 0 ? rest + m : rest;
    }

    PART bool step(double *state, bool, double act, double *rew) {
        const double dt = 0.05;
        double angle = state[0], spin = state[1];
        const float u = (float)held(act, -2.0, 2.0);
        const double wrapped = modulo(angle + PI, 2 * PI) - PI;
        const float effort = 0.001f * (u * u);
        *rew = -(wrapped * wrapped + 0.1 * (spin * spin) + effort);
        const float pull = 3.0f * u;
        spin += (3 * 10.0 / (2 * 1.0) * sin(angle) + pull) * dt;
        spin = held(spin, -8.0, 8.0);
        state[0] = angle + spin * dt;
        state[1] = spin;
        return false;
    }
};
