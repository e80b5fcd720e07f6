/* device.c - cards: is one there, opening it, describing it. */
#include <stdio.h>
#include <string.h>

#include "cuda/cuda.h"

bcam_status bcam_cuda_check(cudaError_t code, const char *call, const char *what, bcam_error *err)
{
    if (code == cudaSuccess)
        return BCAM_OK;
    cudaGetLastError(); /* told here, so no later call finds it */
    if (code == cudaErrorMemoryAllocation)
        return bcam_fail(err, BCAM_E_MEMORY, "%s: %s says that no memory is left", what, call);
    return bcam_fail(err, BCAM_E_DEVICE, "%s: %s failed with %s (%s)", what, call, cudaGetErrorName(code),
                     cudaGetErrorString(code));
}

bcam_status bcam_cuda_enter(const bcam_device *device, bcam_error *err)
{
    return bcam_cuda_check(cudaSetDevice(device->options.index), "cudaSetDevice", "choosing the card", err);
}

void bcam_cuda_settle(cudaStream_t stream)
{
    if (cudaStreamSynchronize(stream) != cudaSuccess)
        cudaStreamSynchronize(stream);
    cudaGetLastError();
}

/* ---- is one there? ---- */

static bcam_status count_cards(int *count, bcam_error *err)
{
    int driver = 0;
    *count = 0;
    bcam_status status =
        bcam_cuda_check(cudaDriverGetVersion(&driver), "cudaDriverGetVersion", "looking for the CUDA driver", err);
    if (status)
        return status;
    if (driver == 0)
        return bcam_fail(err, BCAM_E_DEVICE,
                         "no CUDA driver is installed; without an NVIDIA card and its driver take --device cpu");
    cudaError_t code = cudaGetDeviceCount(count);
    if (code == cudaErrorInsufficientDriver) {
        int runtime = 0;
        cudaRuntimeGetVersion(&runtime);
        return bcam_fail(
            err, BCAM_E_DEVICE,
            "cudaGetDeviceCount finds the driver, made for CUDA %d.%d, too old for the run time here, CUDA %d.%d; "
            "install a newer driver",
            driver / 1000, driver % 1000 / 10, runtime / 1000, runtime % 1000 / 10);
    }
    if (code == cudaErrorNoDevice || (code == cudaSuccess && *count == 0))
        return bcam_fail(err, BCAM_E_DEVICE, "there is no CUDA card that this process may use; take --device cpu");
    return bcam_cuda_check(code, "cudaGetDeviceCount", "looking for CUDA cards", err);
}

static bcam_status look_at_card(int index, struct cudaDeviceProp *card, bcam_error *err)
{
    enum { OLDEST = 75 }; /* Turing */
    int count = 0;
    bcam_status status = count_cards(&count, err);
    if (status)
        return status;
    if (index < 0 || index >= count)
        return bcam_fail(err, BCAM_E_DEVICE, "there is no card cuda:%d; there %s %d, counted from 0", index,
                         count == 1 ? "is" : "are", count);
    status =
        bcam_cuda_check(cudaGetDeviceProperties(card, index), "cudaGetDeviceProperties", "looking at the card", err);
    if (status)
        return status;
    if (card->major * 10 + card->minor < OLDEST)
        return bcam_fail(err, BCAM_E_DEVICE,
                         "%s (cuda:%d) has compute capability %d.%d; 7.5 (Turing) or newer is needed", card->name,
                         index, card->major, card->minor);
    return BCAM_OK;
}

static bcam_status cuda_probe(bcam_error *err)
{
    struct cudaDeviceProp card;
    bcam_status status = look_at_card(0, &card, err);
    cudaGetLastError(); /* a failed look leaves nothing behind */
    return status;
}

/* ---- opening ---- */

static bcam_status resolve_precision(bcam_device *device, const struct cudaDeviceProp *card, bcam_error *err)
{
    bcam_precision *precision = &device->options.precision;
    if (*precision == BCAM_PRECISION_DEFAULT)
        *precision = BCAM_PRECISION_TF32;
    if (*precision == BCAM_PRECISION_FP64)
        return bcam_fail(err, BCAM_E_UNSUPPORTED,
                         "CUDA computes in fp32, tf32, bf16 or fp16; fp64 is the reference device's");
    if (*precision == BCAM_PRECISION_BF16 && card->major < 8)
        return bcam_fail(err, BCAM_E_UNSUPPORTED,
                         "%s has no bf16 (compute capability %d.%d, 8.0 is needed); choose fp16 or fp32", card->name,
                         card->major, card->minor);
    device->real = *precision == BCAM_PRECISION_FP16   ? BCAM_F16
                   : *precision == BCAM_PRECISION_BF16 ? BCAM_BF16
                                                       : BCAM_F32;
    return BCAM_OK;
}

static const char *precision_name(bcam_precision precision)
{
    return precision == BCAM_PRECISION_FP16   ? "fp16"
           : precision == BCAM_PRECISION_BF16 ? "bf16"
           : precision == BCAM_PRECISION_TF32 ? "tf32"
                                              : "fp32";
}

static bcam_status describe_card(bcam_device *device, const struct cudaDeviceProp *card, bcam_error *err)
{
    int driver = 0, runtime = 0;
    char version[32];
    bcam_status status =
        bcam_cuda_check(cudaDriverGetVersion(&driver), "cudaDriverGetVersion", "asking for versions", err);
    if (!status)
        status = bcam_cuda_check(cudaRuntimeGetVersion(&runtime), "cudaRuntimeGetVersion", "asking for versions", err);
    bcam_cudnn_version_text(version, sizeof version);
    snprintf(device->text, sizeof device->text, "cuda:%d (%s, %s, cuDNN %s)", device->options.index, card->name,
             precision_name(device->options.precision), version);
    snprintf(device->identity, sizeof device->identity,
             "%s, compute %d.%d, %d multiprocessors, driver %d, run time %d, cuDNN %zu", card->name, card->major,
             card->minor, card->multiProcessorCount, driver, runtime, bcam_cudnn_version());
    return status;
}

static bcam_status open_streams(bcam_device *device, bcam_error *err)
{
    cudaStream_t *const streams[] = {&device->in, &device->compute, &device->out};
    bcam_status status = BCAM_OK;
    for (size_t i = 0; i < BCAM_COUNT(streams) && !status; i++)
        status = bcam_cuda_check(cudaStreamCreateWithFlags(streams[i], cudaStreamNonBlocking),
                                 "cudaStreamCreateWithFlags", "opening the card", err);
    return status;
}

static void cuda_close(bcam_device **out)
{
    bcam_device *device = *out;
    if (!device)
        return;
    bcam_cublas_close(&device->blas);
    bcam_cudnn_close(&device->dnn);
    cudaStream_t const streams[] = {device->in, device->compute, device->out};
    for (size_t i = 0; i < BCAM_COUNT(streams); i++)
        if (streams[i])
            cudaStreamDestroy(streams[i]);
    bcam_free(device);
    *out = NULL;
}

static bcam_status open_card(bcam_device *device, bcam_error *err)
{
    struct cudaDeviceProp card;
    bcam_status status;
    if ((status = look_at_card(device->options.index, &card, err)) ||
        (status = resolve_precision(device, &card, err)) ||
        (status = bcam_cuda_check(cudaSetDevice(device->options.index), "cudaSetDevice", "opening the card", err)) ||
        (status = describe_card(device, &card, err)) || (status = open_streams(device, err)))
        return status;
    bcam_cudnn_options options = {.stream = device->compute,
                                  .deterministic = device->options.deterministic,
                                  .identity = device->identity,
                                  .log = device->options.log};
    if ((status = bcam_cudnn_open(&options, &device->dnn, err)))
        return status;
    return bcam_cublas_open(device->compute, device->options.precision, &device->blas, err);
}

static bcam_status cuda_open(const bcam_device_options *options, bcam_device **out, bcam_error *err)
{
    *out = NULL;
    bcam_device *device = bcam_alloc(1, sizeof *device);
    if (!device)
        return bcam_fail_memory(err, sizeof *device, "a device");
    device->options = *options;
    bcam_status status = open_card(device, err);
    if (status)
        cuda_close(&device);
    *out = device;
    return status;
}

static const char *cuda_describe(const bcam_device *device)
{
    return device->text;
}

const bcam_device_api bcam_cuda_device = {
    .abi = BCAM_DEVICE_ABI,
    .name = "cuda",
    .precision = BCAM_PRECISION_TF32,
    .pairs = BCAM_CUDA_PAIRS,
    .probe = cuda_probe,
    .open = cuda_open,
    .close = cuda_close,
    .describe = cuda_describe,
    .query = bcam_cuda_query,
    .compile = bcam_cuda_compile,
    .destroy = bcam_cuda_destroy,
    .host = bcam_cuda_host,
    .used = bcam_cuda_used,
    .run = bcam_cuda_run,
    .wait = bcam_cuda_wait,
    .read = bcam_cuda_read,
    .write = bcam_cuda_write,
    .bytes = bcam_cuda_bytes,
    .algorithm = bcam_cuda_algorithm,
};
