/* plugin.c - the one exported symbol: is the host ours, and do the machine's libraries fit? */
#include "dev/plugin.h"

#include <string.h>

#include "cuda/cuda.h"

enum { OLDEST_RUNTIME = 12000, OLDEST_CUDNN = 90000 };

static bcam_status check_host(const bcam_plugin_host *host, bcam_error *err)
{
    if (host->abi != BCAM_DEVICE_ABI)
        return bcam_fail(
            err, BCAM_E_DEVICE,
            "the CUDA plug-in speaks version %u of the device interface, libbatchcam version %u; install both from one build",
            BCAM_DEVICE_ABI, host->abi);
    if (strcmp(host->build_id, bcam_build_id()) != 0)
        return bcam_fail(err, BCAM_E_DEVICE,
                         "the CUDA plug-in is of build %.12s, libbatchcam of build %.12s; install both from one build",
                         bcam_build_id(), host->build_id);
    return BCAM_OK;
}

static bcam_status check_libraries(bcam_error *err)
{
    int runtime = 0;
    bcam_status status =
        bcam_cuda_check(cudaRuntimeGetVersion(&runtime), "cudaRuntimeGetVersion", "looking for the CUDA run time", err);
    if (status)
        return status;
    if (runtime < OLDEST_RUNTIME)
        return bcam_fail(err, BCAM_E_DEVICE, "the CUDA run time is version %d.%d; 12.0 or newer is needed",
                         runtime / 1000, runtime % 1000 / 10);
    if (bcam_cudnn_version() < OLDEST_CUDNN)
        return bcam_fail(err, BCAM_E_DEVICE, "cuDNN is version %zu; 9.0 or newer is needed", bcam_cudnn_version());
    return BCAM_OK;
}

BCAM_API bcam_status bcam_plugin_open(const bcam_plugin_host *host, const bcam_device_api **out, bcam_error *err);

bcam_status bcam_plugin_open(const bcam_plugin_host *host, const bcam_device_api **out, bcam_error *err)
{
    *out = NULL;
    bcam_status status = check_host(host, err);
    if (!status)
        status = check_libraries(err);
    if (!status)
        *out = &bcam_cuda_device;
    return status;
}
