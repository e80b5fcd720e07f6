/* fake_cudart_kernel.c - kernels that nvcc compiled register themselves here as they do with CUDA; launching one runs its body for the CPU. */
#include <dlfcn.h>

#include "fake_cudart.h"

enum { MOST_KERNELS = 4096, PLAIN_SHARED = 48 << 10, MOST_SHARED = 227 << 10 };

typedef struct bcam_kernel {
    const void *host; /* the stub's address, by which launches name it; NULL: the row is free */
    void **binary;    /* that it came in */
    const char *name; /* mangled */
    const void *body;
    size_t most_dynamic;
} bcam_kernel;

static bcam_kernel kernels[MOST_KERNELS];
static int kernel_count;
static const bcam_fake_bodies *bodies;

void bcam_fake_set_bodies(const bcam_fake_bodies *given)
{
    bodies = given;
}

/* ---- what nvcc's objects call when they are loaded ---- */

void **__cudaRegisterFatBinary(void *binary);
void __cudaRegisterFatBinaryEnd(void **handle);
void __cudaUnregisterFatBinary(void **handle);
void __cudaRegisterVar(void **handle, char *host, char *device, const char *name, int ext, size_t size, int constant,
                       int global);
void __cudaRegisterFunction(void **handle, const char *host, char *device, const char *name, int limit, uint3 *tid,
                            uint3 *bid, dim3 *block, dim3 *grid, int *warp);
char __cudaInitModule(void **handle);
unsigned __cudaPushCallConfiguration(dim3 grid, dim3 block, size_t shared, cudaStream_t stream);
cudaError_t __cudaPopCallConfiguration(dim3 *grid, dim3 *block, size_t *shared, void *stream);
cudaError_t __cudaGetKernel(cudaKernel_t *kernel, const void *host);
cudaError_t __cudaLaunchKernel(cudaKernel_t kernel, dim3 grid, dim3 block, void **args, size_t shared,
                               cudaStream_t stream);

void **__cudaRegisterFatBinary(void *binary)
{
    void **handle = malloc(sizeof *handle);
    *handle = binary;
    return handle;
}

void __cudaRegisterFatBinaryEnd(void **handle)
{
    (void)handle;
}

void __cudaUnregisterFatBinary(void **handle)
{
    bcam_fake_lock();
    for (int i = 0; i < kernel_count; i++)
        if (kernels[i].binary == handle)
            kernels[i] = (bcam_kernel){0};
    free(handle);
    bcam_fake_leave(cudaSuccess);
}

char __cudaInitModule(void **handle)
{
    (void)handle;
    return 1;
}

void __cudaRegisterVar(void **handle, char *host, char *device, const char *name, int ext, size_t size, int constant,
                       int global)
{
    (void)handle, (void)host, (void)device, (void)name, (void)ext, (void)size, (void)constant, (void)global;
}

void __cudaRegisterFunction(void **handle, const char *host, char *device, const char *name, int limit, uint3 *tid,
                            uint3 *bid, dim3 *block, dim3 *grid, int *warp)
{
    (void)device, (void)limit, (void)tid, (void)bid, (void)block, (void)grid, (void)warp;
    bcam_fake_lock();
    int i = 0;
    while (i < kernel_count && kernels[i].host && kernels[i].host != host)
        i++;
    if (i < MOST_KERNELS) {
        kernels[i] = (bcam_kernel){.host = host, .binary = handle, .name = name, .most_dynamic = PLAIN_SHARED};
        kernel_count += i == kernel_count;
    }
    bcam_fake_leave(cudaSuccess);
}

/* ---- launches ---- */

static _Thread_local struct {
    dim3 grid, block;
    size_t shared;
    cudaStream_t stream;
} configuration;

unsigned __cudaPushCallConfiguration(dim3 grid, dim3 block, size_t shared, cudaStream_t stream)
{
    configuration.grid = grid;
    configuration.block = block;
    configuration.shared = shared;
    configuration.stream = stream;
    return 0;
}

cudaError_t __cudaPopCallConfiguration(dim3 *grid, dim3 *block, size_t *shared, void *stream)
{
    *grid = configuration.grid;
    *block = configuration.block;
    *shared = configuration.shared;
    memcpy(stream, &configuration.stream, sizeof configuration.stream);
    return cudaSuccess;
}

static void load_bodies(void)
{
    static bool tried;
    Dl_info here;
    char path[4096];
    if (tried || bodies || !dladdr((const void *)(uintptr_t)&load_bodies, &here))
        return;
    tried = true;
    const char *slash = strrchr(here.dli_fname, '/');
    int length = slash ? (int)(slash - here.dli_fname) : 1;
    snprintf(path, sizeof path, "%.*s/libbcam_bodies.so", length, slash ? here.dli_fname : ".");
    if (!dlopen(path, RTLD_NOW | RTLD_LOCAL))
        fprintf(stderr, "stand-ins: %s\n", dlerror());
}

static bcam_kernel *find(const void *host)
{
    int i = 0;
    while (i < kernel_count && kernels[i].host != host && (const void *)&kernels[i] != host)
        i++;
    if (!host || i == kernel_count)
        return NULL;
    load_bodies();
    if (!kernels[i].body && bodies)
        kernels[i].body = bodies->find(kernels[i].name);
    return &kernels[i];
}

typedef struct launch {
    const void *body;
    void *kept;
    dim3 grid, block;
    size_t shared;
} launch;

static cudaError_t run_launch(void *arg)
{
    const launch *l = arg;
    return bodies->run(l->body, l->kept, l->grid, l->block, l->shared);
}

static void drop_launch(void *arg)
{
    launch *l = arg;
    bodies->drop(l->body, l->kept);
    free(l);
}

static cudaError_t check(const bcam_kernel *kernel, dim3 grid, dim3 block, size_t shared)
{
    if (!kernel || !kernel->body) {
        fprintf(stderr, "stand-ins: kernel %s has no body for the CPU\n", kernel ? kernel->name : "(unknown)");
        return cudaErrorInvalidDeviceFunction;
    }
    if (!grid.x || !grid.y || !grid.z || grid.x > INT32_MAX || grid.y > 65535 || grid.z > 65535)
        return cudaErrorInvalidConfiguration;
    if (!block.x || !block.y || !block.z || block.z > 64 || (uint64_t)block.x * block.y * block.z > 1024)
        return cudaErrorInvalidConfiguration;
    return shared > kernel->most_dynamic ? cudaErrorInvalidValue : cudaSuccess;
}

cudaError_t cudaLaunchKernel(const void *host, dim3 grid, dim3 block, void **args, size_t shared, cudaStream_t stream)
{
    BEGIN(cudaErrorLaunchFailure);
    bcam_kernel *kernel = find(host);
    cudaError_t status = check(kernel, grid, block, shared);
    if (status != cudaSuccess)
        return bcam_fake_leave(status);
    launch *l = calloc(1, sizeof *l);
    *l = (launch){kernel->body, bodies->keep(kernel->body, args), grid, block, shared};
    return bcam_fake_leave(bcam_fake_push(stream, bcam_op_new("cudaLaunchKernel", run_launch, l, drop_launch)));
}

cudaError_t __cudaGetKernel(cudaKernel_t *kernel, const void *host)
{
    bcam_fake_lock();
    *kernel = (cudaKernel_t)(void *)find(host);
    return bcam_fake_leave(*kernel ? cudaSuccess : cudaErrorInvalidDeviceFunction);
}

cudaError_t __cudaLaunchKernel(cudaKernel_t kernel, dim3 grid, dim3 block, void **args, size_t shared,
                               cudaStream_t stream)
{
    return cudaLaunchKernel((const void *)kernel, grid, block, args, shared, stream);
}

cudaError_t cudaFuncSetAttribute(const void *host, enum cudaFuncAttribute attribute, int value)
{
    BEGIN(cudaErrorUnknown);
    bcam_kernel *kernel = find(host);
    if (!kernel)
        return bcam_fake_leave(cudaErrorInvalidDeviceFunction);
    if (attribute == cudaFuncAttributeMaxDynamicSharedMemorySize) {
        if (value < 0 || value > MOST_SHARED)
            return bcam_fake_leave(cudaErrorInvalidValue);
        kernel->most_dynamic = (size_t)value;
    }
    return bcam_fake_leave(cudaSuccess);
}
