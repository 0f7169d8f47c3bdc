// Noise from a key: entry i of an array depends on the key and i alone. One block of Philox a thread.

// Generator(Philox(key)).random(size, dtype) of NumPy; two float32 come from one word, the lower half first.
KERNEL uniform(i64 blocks, i64 size, u64 key0, u64 key1, real *out) {
    THREAD(b, blocks);
    const Words words = philox(b + 1, 0, 0, 0, key0, key1);
    const int each = sizeof(real) == 4 ? 8 : 4;
    for (int k = 0; k < each && b * each + k < size; k++)
        out[b * each + k] = sizeof(real) == 4 ? (real)uniform_of_half((unsigned)(words.w[k / 2] >> (32 * (k % 2))))
                                              : (real)uniform_of(words.w[k]);
}

// Standard normals by Box and Muller, in double precision, from pairs of float64 uniforms u, v of that key:
// √(−2 log(1 − u)) (cos 2πv, sin 2πv).
KERNEL normal(i64 blocks, i64 size, u64 key0, u64 key1, real *out) {
    THREAD(b, blocks);
    const Words words = philox(b + 1, 0, 0, 0, key0, key1);
    for (int k = 0; k < 4; k += 2) {
        const double radius = sqrt(-2 * log(1 - uniform_of(words.w[k])));
        const double angle = 6.283185307179586476925 * uniform_of(words.w[k + 1]);
        if (4 * b + k < size) out[4 * b + k] = (real)(radius * cos(angle));
        if (4 * b + k + 1 < size) out[4 * b + k + 1] = (real)(radius * sin(angle));
    }
}
