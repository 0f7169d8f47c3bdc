// What every source begins with. One text serves both precisions: `real` is what -DREAL names.
typedef REAL real;
typedef long long i64;
typedef unsigned long long u64;

#define KERNEL extern "C" __global__ void
#define PART [[maybe_unused]] static __device__ inline

// This thread's number, of `threads` that have work; the rest of the last block has none.
#define THREAD(t, threads) \
    const i64 t = (i64)blockIdx.x * blockDim.x + threadIdx.x; \
    if (t >= threads) return
