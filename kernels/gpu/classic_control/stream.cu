// Noise as numbers of a key: entry i of an array depends on the key and on i alone. A block of Philox a thread.

// NumPy's own: Generator(Philox(key)).random(size, dtype), which makes two float32 of a word, the lower half first.
KERNEL uniform(i64 blocks, i64 size, u64 key0, u64 key1, real *out) {
    THREAD(b, blocks);
    const Words words = philox(b + 1, 0, 0, 0, key0, key1);
    const int each = sizeof(real) == 4 ? 8 : 4;
    for (int k = 0; k < each && b * each + k < size; k++)
        out[b * each + k] = sizeof(real) == 4 ? (real)uniform_of_half((unsigned)(words.w[k / 2] >> (32 * (k % 2))))
                                              : (real)uniform_of(words.w[k]);
}

// Standard normals by the formula of Box and Muller, from the float64 uniforms u, v of that stream, two and two:
// √(−2 log(1 − u)) (cos 2πv, sin 2πv), in double precision whatever they are stored in.
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
