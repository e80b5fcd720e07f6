/* bodies.c - libbcam_bodies.so: tells the stand-in run time where the kernels' bodies for the CPU are. The library is made of the very .cu files,
 * compiled by the host compiler on cuda_emu.h; every instance of a template that a launcher names enrols itself there. */
#include "emu_run.h"
#include "fake.h"

static const void *find(const char *name)
{
    return emu_kernel_find(name);
}

static void *keep(const void *body, void **args)
{
    return emu_kernel_capture(body, args);
}

static cudaError_t run(const void *body, void *kept, dim3 grid, dim3 block, size_t shared)
{
    return emu_kernel_run(body, kept, grid, block, shared);
}

static void drop(const void *body, void *kept)
{
    emu_kernel_release(body, kept);
}

__attribute__((constructor)) static void offer(void)
{
    static const bcam_fake_bodies bodies = {find, keep, run, drop};
    bcam_fake_set_bodies(&bodies);
}
