/* access.c - host memory, and reading and writing single values. */
#include <string.h>

#include "cuda/cuda.h"

void *bcam_cuda_host(bcam_program *p, int value, int pair)
{
    if (value < 0 || (size_t)value >= p->place.value_count || pair < 0 || pair >= BCAM_CUDA_PAIRS)
        return NULL;
    const bcam_cuda_port *port = bcam_cuda_find_port(p, value);
    return port ? p->pair[pair].host + port->offset : NULL;
}

void bcam_cuda_used(bcam_program *p, int value, int pair, size_t bytes)
{
    for (size_t i = 0; i < p->port_count; i++)
        if (p->ports[i].value == value)
            p->ports[i].used[pair] = bytes < p->ports[i].bytes ? bytes : p->ports[i].bytes;
}

static bcam_status check_access(const bcam_program *p, int value, bcam_dtype as, bcam_error *err)
{
    bcam_status status = bcam_placement_access(&p->place, value, as, err);
    if (!status && !bcam_cuda_tensor(p, value, 0).data)
        status =
            bcam_fail(err, BCAM_E_ARGUMENT, "'%s' is used by no step; it has no memory", p->place.values[value].name);
    return status;
}

/* A port's copy in host memory, as a tensor. */
static bcam_tensor host_tensor(const bcam_program *p, const bcam_cuda_port *port, int pair)
{
    bcam_tensor t = p->place.tensors[port->value];
    t.data = p->pair[pair].host + port->offset;
    t.dtype = p->place.values[port->value].dtype;
    if (port->converted)
        bcam_strides_dense(t.rank, t.dim, t.stride);
    return t;
}

/* Between the card and ordinary host memory, after everything that was started. */
static bcam_status copy_now(const bcam_program *p, void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind,
                            bcam_error *err)
{
    const char *what = kind == cudaMemcpyHostToDevice ? "writing a value" : "reading a value";
    cudaStream_t stream = p->device->compute;
    bcam_status status = bcam_cuda_check(cudaMemcpyAsync(to, from, bytes, kind, stream), "cudaMemcpyAsync", what, err);
    return status ? status : bcam_cuda_check(cudaStreamSynchronize(stream), "cudaStreamSynchronize", what, err);
}

static bcam_status read_device(bcam_program *p, int value, bcam_dtype as, void *out, bcam_error *err)
{
    size_t bytes = 0;
    bcam_tensor t = bcam_cuda_tensor(p, value, p->last_pair);
    bcam_status status = bcam_placement_bytes(&p->place, (size_t)value, &bytes, err);
    if (status)
        return status;
    void *host = bcam_alloc(bytes, 1);
    if (!host)
        return bcam_fail_memory(err, bytes, "reading a value");
    if (!(status = copy_now(p, host, t.data, bytes, cudaMemcpyDeviceToHost, err))) {
        t.data = host;
        bcam_elements_read(&t, as, out);
    }
    bcam_free(host);
    return status;
}

bcam_status bcam_cuda_read(bcam_program *p, int value, bcam_dtype as, void *out, bcam_error *err)
{
    bcam_status status = check_access(p, value, as, err);
    if (status || (status = bcam_cuda_enter(p->device, err)))
        return status;
    const bcam_cuda_port *port = bcam_cuda_find_port(p, value);
    if (!port)
        return read_device(p, value, as, out, err);
    if ((status = bcam_cuda_wait(p, p->last_pair, err)))
        return status;
    bcam_tensor t = host_tensor(p, port, p->last_pair);
    bcam_elements_read(&t, as, out);
    return BCAM_OK;
}

/* Padding keeps its zeros: the memory is made whole on the host. */
static bcam_status write_device(bcam_program *p, int value, int pair, bcam_dtype as, const void *data, bcam_error *err)
{
    size_t bytes = 0;
    bcam_tensor t = bcam_cuda_tensor(p, value, pair);
    void *device = t.data;
    bcam_status status = bcam_placement_bytes(&p->place, (size_t)value, &bytes, err);
    if (status)
        return status;
    void *host = bcam_alloc(bytes, 1);
    if (!host)
        return bcam_fail_memory(err, bytes, "writing a value");
    t.data = host;
    bcam_elements_write(&t, as, data);
    status = copy_now(p, device, host, bytes, cudaMemcpyHostToDevice, err);
    bcam_free(host);
    return status;
}

bcam_status bcam_cuda_write(bcam_program *p, int value, bcam_dtype as, const void *data, bcam_error *err)
{
    bcam_status status = check_access(p, value, as, err);
    if (status || (status = bcam_cuda_enter(p->device, err)))
        return status;
    const bcam_cuda_port *port = bcam_cuda_find_port(p, value);
    for (int pair = 0; port && pair < BCAM_CUDA_PAIRS && !status; pair++) {
        if ((status = bcam_cuda_wait(p, pair, err)))
            return status;
        bcam_tensor t = host_tensor(p, port, pair);
        bcam_elements_write(&t, as, data);
    }
    if (port && !port->writes) /* every run copies it in */
        return status;
    int pairs = p->port_offset[p->place.root[value]] == SIZE_MAX ? 1 : BCAM_CUDA_PAIRS;
    for (int pair = 0; pair < pairs && !status; pair++)
        status = write_device(p, value, pair, as, data, err);
    return status;
}
