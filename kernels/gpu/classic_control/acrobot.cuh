// Two links and a motor between them: kernels/cpu/classic_control/acrobot.py, operation by operation; a square is x·x.
struct Acrobot {
    enum { STATE = 4, OBS = 6 };

    PART void begin(const double *u, double *state) {
        for (int i = 0; i < 4; i++) state[i] = (float)(-0.1 + (0.1 + 0.1) * u[i]);
    }

    PART void observe(const double *state, float *obs) {
        for (int link = 0; link < 2; link++) {
            obs[2 * link] = (float)cos(state[link]);
            obs[2 * link + 1] = (float)sin(state[link]);
            obs[4 + link] = (float)state[2 + link];
        }
    }

    PART void derivative(const double *s, double torque, double *k) {
        const double m = 1.0, l = 1.0, c = 0.5, inertia = 1.0, g = 9.8;
        const double a = s[0], b = s[1], da = s[2], db = s[3], sine = sin(b), cosine = cos(b);
        const double d1 = m * (c * c) + m * (l * l + c * c + 2 * l * c * cosine) + inertia + inertia;
        const double d2 = m * (c * c + l * c * cosine) + inertia;
        const double phi2 = m * c * g * cos(a + b - PI / 2.0);
        const double phi1 = -m * l * c * (db * db) * sine - 2 * m * l * c * db * da * sine +
                            (m * c + m * l) * g * cos(a - PI / 2) + phi2;
        const double ddb = (torque + d2 / d1 * phi1 - m * l * c * (da * da) * sine - phi2) /
                           (m * (c * c) + inertia - d2 * d2 / d1);
        k[0] = da;
        k[1] = db;
        k[2] = -(d2 * ddb + phi1) / d1;
        k[3] = ddb;
    }

    PART double wrapped(double angle) {
        while (angle > PI) angle -= PI - -PI;
        while (angle < -PI) angle += PI - -PI;
        return angle;
    }

    PART bool step(double *state, bool, double act, double *rew) {
        const double dt = 0.2, torque = act - 1, along[4] = {0, dt / 2.0, dt / 2.0, dt};
        double k[4][4], from[4];
        for (int stage = 0; stage < 4; stage++) {
            for (int i = 0; i < 4; i++) from[i] = stage ? state[i] + along[stage] * k[stage - 1][i] : state[i];
            derivative(from, torque, k[stage]);
        }
        for (int i = 0; i < 4; i++) state[i] += dt / 6.0 * (k[0][i] + 2 * k[1][i] + 2 * k[2][i] + k[3][i]);

        state[0] = wrapped(state[0]);
        state[1] = wrapped(state[1]);
        state[2] = held(state[2], -4 * PI, 4 * PI);
        state[3] = held(state[3], -9 * PI, 9 * PI);
        const bool terminated = -cos(state[0]) - cos(state[1] + state[0]) > 1.0;
        *rew = terminated ? 0.0 : -1.0;
        return terminated;
    }
};
