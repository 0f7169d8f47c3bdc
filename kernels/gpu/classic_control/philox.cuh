// Philox4x64-10 (Salmon, Moraes, Dror & Shaw 2011): four random words as a function of a counter and a key. NumPy's
// Philox increments its counter first: its words with key k are those of the counters (1, 0, 0, 0), (2, 0, 0, 0), …
struct Words {
    u64 w[4];
};

PART Words philox(u64 c0, u64 c1, u64 c2, u64 c3, u64 k0, u64 k1) {
    for (int round = 0; round < 10; round++) {
        const u64 high0 = __umul64hi(0xD2E7470EE14C6C93ULL, c0), low0 = 0xD2E7470EE14C6C93ULL * c0;
        const u64 high1 = __umul64hi(0xCA5A826395121157ULL, c2), low1 = 0xCA5A826395121157ULL * c2;
        c0 = high1 ^ c1 ^ k0;
        c1 = low1;
        c2 = high0 ^ c3 ^ k1;
        c3 = low0;
        k0 += 0x9E3779B97F4A7C15ULL;
        k1 += 0xBB67AE8584CAA73BULL;
    }
    return {{c0, c1, c2, c3}};
}

// In [0, 1): from the upper 53 bits of a word; from the upper 24 bits of half a word.
PART double uniform_of(u64 word) { return (double)(word >> 11) * 0x1p-53; }
PART float uniform_of_half(unsigned half) { return (float)(half >> 8) * 0x1p-24f; }
