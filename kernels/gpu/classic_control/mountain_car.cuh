// The car in the valley: kernels/cpu/classic_control/mountain_car.py, operation by operation.
struct Car {
    enum { STATE = 2, OBS = 2 };

    PART void begin(const double *u, double *state) {
        state[0] = -0.6 + (-0.4 + 0.6) * u[0];
        state[1] = 0.0;
    }

    PART void observe(const double *state, float *obs) {
        obs[0] = (float)state[0];
        obs[1] = (float)state[1];
    }
};

struct MountainCar : Car {
    PART bool step(double *state, bool, double act, double *rew) {
        double x = state[0], v = state[1];
        v += (act - 1) * 0.001 + cos(3 * x) * -0.0025;
        v = held(v, -0.07, 0.07);
        x = held(x + v, -1.2, 0.6);
        if (x == -1.2 && v < 0) v = 0.0;
        state[0] = x;
        state[1] = v;
        *rew = -1.0;
        return x >= 0.5 && v >= 0;
    }
};
