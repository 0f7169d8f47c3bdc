#define PI 3.14159265358979323846

// x within bounds, NaN for NaN.
PART double held(double x, double low, double high) { return x < low ? low : x > high ? high : x; }
