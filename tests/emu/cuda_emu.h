/* cuda_emu.h - CUDA C++ kernels on the CPU: what a .cu file sees instead of nvcc's own words when the host compiler compiles it (-x c++).
 *
 * Blocks run one after the other; every CUDA thread is a fiber, so that a thread that waits at a barrier or in a warp operation gives way to
 * another. See emu_run.h for running a kernel from C and from stand-ins.
 */
#ifndef CUDA_EMU_H
#define CUDA_EMU_H

#define __launch_bounds__(...)

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime_api.h>
#include <vector_functions.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <tuple>
#include <type_traits>
#include <typeinfo>
#include <utility>

#include "emu_run.h"

/** A kernel that has enrolled. */
struct emu_kernel {
    const char *type_name; /* of Tag<kernel>, mangled: the kernel's name is within */
    void *(*capture)(void *const *args);
    void (*run)(void *captured); /* one thread */
    void (*release)(void *captured);
    char *name; /* readable; found when first asked for */
    emu_kernel *next;
};

namespace cuemu {

struct Thread {
    uint3 index;
    unsigned number; /* in its block */
};
struct Block {
    dim3 grid, size;
    uint3 index;
};
/* Not inline: under TSan the run time is not instrumented, and its variables must not be seen by code that is. */
const Thread *thread();
const Block *block();

[[noreturn]] void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
void barrier(int line);
/** Every lane of `mask` brings a word; returns the words of all. `line`: the caller's, so that lanes that meet at different places are found. */
const uint64_t *meet(unsigned mask, uint64_t word, const char *what, int line);
/** Memory of the block, of exactly this size, poisoned; one piece for every key. */
void *shared_memory(const void *key, size_t bytes);
void *dynamic_shared_memory();
unsigned grid_limit();
void enrol(emu_kernel *kernel);
cudaError_t launch(const emu_kernel *kernel, dim3 grid, dim3 block, void *const *args, size_t shared,
                   cudaStream_t stream);

inline unsigned lane()
{
    return thread()->number & 31u;
}

template <typename T> uint64_t to_word(T value)
{
    static_assert(sizeof(T) <= sizeof(uint64_t) && std::is_trivially_copyable<T>::value,
                  "a lane's value must fit a word");
    uint64_t word = 0;
    std::memcpy(&word, &value, sizeof value);
    return word;
}

template <typename T> T from_word(uint64_t word)
{
    T value;
    std::memcpy(&value, &word, sizeof value);
    return value;
}

/** The value of lane `from`, or one's own where `from` lies outside. */
template <typename T> T shuffle(unsigned mask, T value, unsigned from, bool inside, const char *what, int line)
{
    const uint64_t *words = meet(mask, to_word(value), what, line);
    if (inside && !(mask >> from & 1u))
        fail("line %d: %s reads lane %u, which is not in the mask %08x", line, what, from, mask);
    return inside ? from_word<T>(words[from]) : value;
}

/* ---- enrolling: Enrolled<kernel>::kernel exists once for every kernel that is launched somewhere ---- */

template <auto F> struct Tag {
};

template <auto F> struct Enrolled;
template <typename... P, void (*F)(P...)> struct Enrolled<F> {
    using Arguments = std::tuple<P...>;

    template <size_t... I> static void *copy(void *const *args, std::index_sequence<I...>)
    {
        (void)args;
        return new Arguments(*static_cast<const P *>(args[I])...);
    }
    static void *capture(void *const *args)
    {
        return copy(args, std::index_sequence_for<P...>());
    }
    static void run(void *captured)
    {
        std::apply(F, *static_cast<Arguments *>(captured));
    }
    static void release(void *captured)
    {
        delete static_cast<Arguments *>(captured);
    }
    struct Entry : emu_kernel {
        Entry()
            : emu_kernel{typeid(Tag<F>).name(), Enrolled::capture, Enrolled::run, Enrolled::release, nullptr, nullptr}
        {
            enrol(this);
        }
    };
    static Entry kernel;

    static cudaError_t launch(dim3 grid, dim3 block, size_t shared, cudaStream_t stream, P... args)
    {
        void *list[] = {const_cast<void *>(static_cast<const void *>(&args))...};
        return cuemu::launch(&kernel, grid, block, list, shared, stream);
    }
};
template <typename... P, void (*F)(P...)> typename Enrolled<F>::Entry Enrolled<F>::kernel;

} // namespace cuemu

/* ---- CUDA's words ---- */

#define threadIdx (cuemu::thread()->index)
#define blockIdx (cuemu::block()->index)
#define blockDim (cuemu::block()->size)
#define gridDim (cuemu::block()->grid)

#define EMU_LINE int line = __builtin_LINE()

static inline void __syncthreads(EMU_LINE)
{
    cuemu::barrier(line);
}

static inline void __syncwarp(unsigned mask = 0xffffffffu, EMU_LINE)
{
    cuemu::meet(mask, 0, "__syncwarp", line);
}

template <typename T> T __shfl_sync(unsigned mask, T value, int from, int width = 32, EMU_LINE)
{
    unsigned lane = cuemu::lane(), w = (unsigned)width;
    return cuemu::shuffle(mask, value, (lane & ~(w - 1)) | ((unsigned)from & (w - 1)), true, "__shfl_sync", line);
}

template <typename T> T __shfl_xor_sync(unsigned mask, T value, int bits, int width = 32, EMU_LINE)
{
    unsigned lane = cuemu::lane(), from = lane ^ (unsigned)bits, w = (unsigned)width;
    return cuemu::shuffle(mask, value, from, from / w <= lane / w, "__shfl_xor_sync", line);
}

template <typename T> T __shfl_down_sync(unsigned mask, T value, unsigned distance, int width = 32, EMU_LINE)
{
    unsigned lane = cuemu::lane(), w = (unsigned)width;
    return cuemu::shuffle(mask, value, lane + distance, (lane & (w - 1)) + distance < w, "__shfl_down_sync", line);
}

static inline unsigned __ballot_sync(unsigned mask, int predicate, EMU_LINE)
{
    const uint64_t *words = cuemu::meet(mask, predicate != 0, "__ballot_sync", line);
    unsigned bits = 0;
    for (unsigned i = 0; i < 32; i++)
        bits |= (mask >> i & 1u) && words[i] ? 1u << i : 0;
    return bits;
}

template <typename T> T __ldg(const T *p)
{
    if (reinterpret_cast<uintptr_t>(p) % sizeof(T))
        cuemu::fail("misaligned load of %zu bytes at %p", sizeof(T), (const void *)p);
    return *p;
}

using std::max;
using std::min;

static inline int __float_as_int(float value)
{
    return cuemu::from_word<int>(cuemu::to_word(value));
}

static inline float __int_as_float(int bits)
{
    return cuemu::from_word<float>(cuemu::to_word(bits));
}

#endif
