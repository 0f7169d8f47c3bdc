// The beginning of every source. One text serves both precisions: -DREAL names the type `real`.
typedef REAL real;
typedef long long i64;
typedef unsigned long long u64;

#define KERNEL extern "C" __global__ void
#define PART [[maybe_unused]] static __device__ inline

// The number t of this thread; threads of the last block beyond `threads` return.
#define THREAD(t, threads) \
    const i64 t = (i64)blockIdx.x * blockDim.x + threadIdx.x; \
    if (t >= threads) return
