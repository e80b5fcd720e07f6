/* emu_run.h - kernels on the CPU, as seen from C: for tests, and for stand-ins of the run time.
 *
 * Every kernel that a launcher names, compiled by the host compiler on cuda_emu.h, enrols itself when the program is loaded. It can then be
 * found by the name that nvcc gives it, so that a stand-in of cudaLaunchKernel can run the body of a kernel that nvcc compiled:
 *
 *   __cudaRegisterFunction(…, device_name, …)   kernel = emu_kernel_find(device_name)
 *   cudaLaunchKernel(f, grid, block, args, …)   call = emu_kernel_capture(kernel, args), put on a queue
 *   when the queue gets there                   emu_kernel_run(kernel, call, grid, block, shared), emu_kernel_release(kernel, call)
 *
 * Launchers compiled by the host compiler come to emu_launch, which runs the kernel at once, or hands it to who asked with emu_on_launch.
 * One grid runs at a time: the callers of emu_kernel_run must not run at the same time.
 *
 * A kernel that does wrong (threads that disagree about a barrier, a misaligned load) ends the process with a line on stderr that begins
 * "emu: " and names block and thread; memory errors and races are found by the sanitizers.
 */
#ifndef EMU_RUN_H
#define EMU_RUN_H

#include <cuda_runtime_api.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct emu_kernel emu_kernel;

/** By mangled name (as nvcc registers it) or readable name ("void bcam::unary<float, 4>(bcam::UnaryArgs)"); NULL: there is none. */
const emu_kernel *emu_kernel_find(const char *name);
const char *emu_kernel_name(const emu_kernel *kernel); /* the readable one */
/** The i-th kernel of all; NULL past the last. */
const emu_kernel *emu_kernel_at(size_t i);

/** A copy of a launch's arguments, args as cudaLaunchKernel takes them; NULL when memory is out. */
void *emu_kernel_capture(const emu_kernel *kernel, void *const *args);
void emu_kernel_release(const emu_kernel *kernel, void *captured);
/** Runs all blocks; cudaErrorInvalidConfiguration or cudaErrorInvalidValue for a grid, a block or shared memory that no card would take. */
cudaError_t emu_kernel_run(const emu_kernel *kernel, void *captured, dim3 grid, dim3 block, size_t shared);

/** What a launch of a launcher compiled by the host compiler comes to; args as above, valid during the call only. NULL: run at once. */
typedef cudaError_t (*emu_launch_fn)(void *data, const emu_kernel *kernel, dim3 grid, dim3 block, void *const *args,
                                     size_t shared, cudaStream_t stream);
void emu_on_launch(emu_launch_fn fn, void *data);

/** 0: threads run in order of their numbers, blocks too. Else both are shuffled, differently each time, from this seed (or EMU_SEED). */
void emu_set_seed(uint64_t seed);
/** The most blocks that grid-stride launchers use; 0: as on a card. Few blocks make every thread go round its loop. */
void emu_set_grid_limit(unsigned blocks);
/** Grids, blocks and threads run so far. */
void emu_counts(uint64_t *grids, uint64_t *blocks, uint64_t *threads);

#ifdef __cplusplus
}
#endif
#endif
