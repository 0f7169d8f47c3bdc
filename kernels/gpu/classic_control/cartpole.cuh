// The cart and pole: kernels/cpu/classic_control/cartpole.py, operation by operation.
struct CartPole {
    enum { STATE = 4, OBS = 4 };

    PART void begin(const double *u, double *state) {
        for (int i = 0; i < 4; i++) state[i] = -0.05 + (0.05 + 0.05) * u[i];
    }

    PART void observe(const double *state, float *obs) {
        for (int i = 0; i < 4; i++) obs[i] = (float)state[i];
    }

    PART bool step(double *state, bool, double act, double *rew) {
        const double gravity = 9.8, pole_mass = 0.1, mass = 0.1 + 1.0, half_length = 0.5, dt = 0.02;
        const double pole_moment = pole_mass * half_length, max_x = 2.4, max_angle = 12 * 2 * PI / 360;
        const double dx = state[1], spin = state[3], force = act == 1 ? 10.0 : -10.0;
        double x = state[0], angle = state[2];
        const double sine = sin(angle), cosine = cos(angle);
        const double push = (force + pole_moment * (spin * spin) * sine) / mass;
        const double ddangle = (gravity * sine - cosine * push) /
                               (half_length * (4.0 / 3.0 - pole_mass * (cosine * cosine) / mass));
        const double ddx = push - pole_moment * ddangle * cosine / mass;

        state[0] = x = x + dt * dx;
        state[1] = dx + dt * ddx;
        state[2] = angle = angle + dt * spin;
        state[3] = spin + dt * ddangle;
        *rew = 1.0;
        return x < -max_x || x > max_x || angle < -max_angle || angle > max_angle;
    }
};
