/* fake_cudart_device.c - the card as its description says, versions, names of errors. */
#include <cjson/cJSON.h>
#include <dlfcn.h>

#include "fake_cudart.h"

enum { DRIVER = 13000 };

/* ---- the description ---- */

static char *read_card(void)
{
    Dl_info here;
    char path[4096];
    const char *given = getenv("BCAM_FAKE_CARD");
    if (given) {
        snprintf(path, sizeof path, "%s", given);
    } else {
        const char *name = dladdr((const void *)(uintptr_t)&read_card, &here) ? here.dli_fname : "";
        const char *slash = strrchr(name, '/');
        snprintf(path, sizeof path, "%.*sh100.json", slash ? (int)(slash - name) + 1 : 0, name);
    }
    FILE *file = fopen(path, "rb");
    if (!file) {
        fprintf(stderr, "stand-ins: cannot read the card's description %s\n", path);
        return NULL;
    }
    char *text = calloc(1, 1 << 16);
    size_t n = fread(text, 1, (1 << 16) - 1, file);
    fclose(file);
    text[n] = '\0';
    return text;
}

char *bcam_fake_card(const char *section)
{
    char *text = read_card();
    cJSON *card = text ? cJSON_Parse(text) : NULL;
    cJSON *part = cJSON_GetObjectItem(card, section);
    char *out = part ? cJSON_PrintUnformatted(part) : NULL;
    cJSON_Delete(card);
    free(text);
    return out ? out : strdup("{}");
}

/* A number of the card, from either section; array elements by index. False: the description does not say. */
static bool number(const char *key, int index, double *out)
{
    static const char *const sections[] = {"cudnn", "cuda"};
    bool found = false;
    for (int i = 0; i < 2 && !found; i++) {
        char *text = bcam_fake_card(sections[i]);
        cJSON *part = cJSON_Parse(text);
        const cJSON *item = cJSON_GetObjectItem(part, key);
        if (cJSON_IsArray(item))
            item = cJSON_GetArrayItem(item, index);
        found = cJSON_IsNumber(item);
        if (found)
            *out = item->valuedouble;
        cJSON_Delete(part);
        free(text);
    }
    return found;
}

static double value(const char *key, int index)
{
    double v = 0;
    number(key, index, &v);
    return v;
}

static const struct {
    enum cudaDeviceAttr attribute;
    const char *key;
    int index;
} attributes[] = {
    {cudaDevAttrMaxThreadsPerBlock, "maxThreadsPerBlock", 0},
    {cudaDevAttrMaxBlockDimX, "maxBlockSize", 0},
    {cudaDevAttrMaxBlockDimY, "maxBlockSize", 1},
    {cudaDevAttrMaxBlockDimZ, "maxBlockSize", 2},
    {cudaDevAttrMaxGridDimX, "maxGridSize", 0},
    {cudaDevAttrMaxGridDimY, "maxGridSize", 1},
    {cudaDevAttrMaxGridDimZ, "maxGridSize", 2},
    {cudaDevAttrMaxSharedMemoryPerBlock, "maxSharedMemoryPerBlock", 0},
    {cudaDevAttrMaxSharedMemoryPerBlockOptin, "maxSharedMemoryPerBlockOptin", 0},
    {cudaDevAttrReservedSharedMemoryPerBlock, "reservedSharedMemoryPerBlock", 0},
    {cudaDevAttrMaxSharedMemoryPerMultiprocessor, "maxSharedMemoryPerMultiprocessor", 0},
    {cudaDevAttrTotalConstantMemory, "totalConstMem", 0},
    {cudaDevAttrWarpSize, "warpSize", 0},
    {cudaDevAttrMaxRegistersPerBlock, "regsPerBlock", 0},
    {cudaDevAttrMaxRegistersPerMultiprocessor, "maxRegistersPerSM", 0},
    {cudaDevAttrMaxThreadsPerMultiProcessor, "maxThreadsPerSM", 0},
    {cudaDevAttrMaxBlocksPerMultiprocessor, "maxCtasPerSM", 0},
    {cudaDevAttrMultiProcessorCount, "multiProcessorCount", 0},
    {cudaDevAttrClockRate, "smClockRateKHz", 0},
    {cudaDevAttrMemoryClockRate, "memClockRateKHz", 0},
    {cudaDevAttrGlobalMemoryBusWidth, "memoryBusWidth", 0},
    {cudaDevAttrL2CacheSize, "l2CacheSize", 0},
    {cudaDevAttrAsyncEngineCount, "asyncEngineCount", 0},
    {cudaDevAttrEccEnabled, "ECCEnabled", 0},
    {cudaDevAttrConcurrentKernels, "concurrentKernels", 0},
    {cudaDevAttrUnifiedAddressing, "unifiedAddressing", 0},
    {cudaDevAttrManagedMemory, "managedMemory", 0},
    {cudaDevAttrCooperativeLaunch, "supportCoopLaunch", 0},
    {cudaDevAttrMemoryPoolsSupported, "memoryPoolsSupported", 0},
    {cudaDevAttrComputePreemptionSupported, "computePreemptionSupported", 0},
    {cudaDevAttrPciBusId, "pciBusId", 0},
    {cudaDevAttrPciDeviceId, "pciDeviceId", 0},
    {cudaDevAttrPciDomainId, "pciDomainId", 0},
};

static bool attribute(enum cudaDeviceAttr which, int *out)
{
    double v = 0;
    bool found = false;
    if (which == cudaDevAttrComputeCapabilityMajor || which == cudaDevAttrComputeCapabilityMinor) {
        found = number("deviceVer", 0, &v);
        *out = which == cudaDevAttrComputeCapabilityMajor ? (int)v / 100 : (int)v % 100 / 10;
        return found;
    }
    for (size_t i = 0; i < sizeof attributes / sizeof *attributes && !found; i++)
        if (attributes[i].attribute == which)
            found = number(attributes[i].key, attributes[i].index, &v);
    *out = (int)v;
    return found;
}

static cudaError_t check(int device)
{
    if (bcam_fake_devices <= 0)
        return cudaErrorNoDevice;
    return device < 0 || device >= bcam_fake_devices ? cudaErrorInvalidDevice : cudaSuccess;
}

cudaError_t cudaGetDeviceCount(int *count)
{
    BEGIN(cudaErrorInsufficientDriver);
    *count = bcam_fake_devices;
    return bcam_fake_leave(bcam_fake_devices > 0 ? cudaSuccess : cudaErrorNoDevice);
}

cudaError_t cudaSetDevice(int device)
{
    BEGIN(cudaErrorDevicesUnavailable);
    return bcam_fake_leave(check(device));
}

cudaError_t cudaGetDevice(int *device)
{
    BEGIN(cudaErrorUnknown);
    *device = 0;
    return bcam_fake_leave(check(0));
}

cudaError_t cudaDeviceGetAttribute(int *out, enum cudaDeviceAttr which, int device)
{
    BEGIN(cudaErrorUnknown);
    cudaError_t status = check(device);
    if (status != cudaSuccess)
        return bcam_fake_leave(status);
    return bcam_fake_leave(attribute(which, out) ? cudaSuccess : cudaErrorInvalidValue);
}

cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *p, int device)
{
    BEGIN(cudaErrorUnknown);
    cudaError_t status = check(device);
    if (status != cudaSuccess)
        return bcam_fake_leave(status);
    memset(p, 0, sizeof *p);
    char *text = bcam_fake_card("cudnn");
    cJSON *card = cJSON_Parse(text);
    const char *name = cJSON_GetStringValue(cJSON_GetObjectItem(card, "deviceName"));
    snprintf(p->name, sizeof p->name, "%s", name ? name : "card without a name");
    cJSON_Delete(card);
    free(text);
    attribute(cudaDevAttrComputeCapabilityMajor, &p->major);
    attribute(cudaDevAttrComputeCapabilityMinor, &p->minor);
    p->totalGlobalMem = bcam_fake_memory ? bcam_fake_memory : (size_t)value("totalGlobalMem", 0);
    p->sharedMemPerBlock = (size_t)value("maxSharedMemoryPerBlock", 0);
    p->sharedMemPerBlockOptin = (size_t)value("maxSharedMemoryPerBlockOptin", 0);
    p->sharedMemPerMultiprocessor = (size_t)value("maxSharedMemoryPerMultiprocessor", 0);
    p->reservedSharedMemPerBlock = (size_t)value("reservedSharedMemoryPerBlock", 0);
    p->totalConstMem = (size_t)value("totalConstMem", 0);
    p->regsPerBlock = (int)value("regsPerBlock", 0);
    p->regsPerMultiprocessor = (int)value("maxRegistersPerSM", 0);
    p->warpSize = (int)value("warpSize", 0);
    p->maxThreadsPerBlock = (int)value("maxThreadsPerBlock", 0);
    p->maxThreadsPerMultiProcessor = (int)value("maxThreadsPerSM", 0);
    p->maxBlocksPerMultiProcessor = (int)value("maxCtasPerSM", 0);
    for (int i = 0; i < 3; i++) {
        p->maxThreadsDim[i] = (int)value("maxBlockSize", i);
        p->maxGridSize[i] = (int)value("maxGridSize", i);
    }
    p->multiProcessorCount = (int)value("multiProcessorCount", 0);
    p->l2CacheSize = (int)value("l2CacheSize", 0);
    p->memoryBusWidth = (int)value("memoryBusWidth", 0);
    p->asyncEngineCount = (int)value("asyncEngineCount", 0);
    p->ECCEnabled = (int)value("ECCEnabled", 0);
    p->concurrentKernels = (int)value("concurrentKernels", 0);
    p->unifiedAddressing = (int)value("unifiedAddressing", 0);
    p->cooperativeLaunch = (int)value("supportCoopLaunch", 0);
    p->clusterLaunch = (int)value("clusterLaunch", 0);
    p->memoryPoolsSupported = (int)value("memoryPoolsSupported", 0);
    p->pciBusID = (int)value("pciBusId", 0);
    p->pciDeviceID = (int)value("pciDeviceId", 0);
    return bcam_fake_leave(cudaSuccess);
}

cudaError_t cudaDriverGetVersion(int *version)
{
    BEGIN(cudaErrorUnknown);
    *version = DRIVER;
    return bcam_fake_leave(cudaSuccess);
}

cudaError_t cudaRuntimeGetVersion(int *version)
{
    BEGIN(cudaErrorUnknown);
    *version = CUDART_VERSION;
    return bcam_fake_leave(cudaSuccess);
}

/* ---- errors ---- */

static const struct {
    cudaError_t error;
    const char *name, *text;
} errors[] = {
#define ERROR(name, text)                                                                                              \
    {                                                                                                                  \
        name, #name, text                                                                                              \
    }
    ERROR(cudaSuccess, "no error"),
    ERROR(cudaErrorInvalidValue, "invalid argument"),
    ERROR(cudaErrorMemoryAllocation, "out of memory"),
    ERROR(cudaErrorInvalidConfiguration, "invalid configuration argument"),
    ERROR(cudaErrorInsufficientDriver, "CUDA driver version is insufficient for CUDA runtime version"),
    ERROR(cudaErrorDevicesUnavailable, "CUDA-capable device(s) is/are busy or unavailable"),
    ERROR(cudaErrorInvalidDeviceFunction, "invalid device function"),
    ERROR(cudaErrorNoDevice, "no CUDA-capable device is detected"),
    ERROR(cudaErrorInvalidDevice, "invalid device ordinal"),
    ERROR(cudaErrorInvalidResourceHandle, "invalid resource handle"),
    ERROR(cudaErrorIllegalState, "the operation cannot be performed in the present state"),
    ERROR(cudaErrorNotReady, "device not ready"),
    ERROR(cudaErrorIllegalAddress, "an illegal memory access was encountered"),
    ERROR(cudaErrorLaunchFailure, "unspecified launch failure"),
    ERROR(cudaErrorNotSupported, "operation not supported"),
    ERROR(cudaErrorStreamCaptureUnsupported, "operation not permitted when stream is capturing"),
    ERROR(cudaErrorStreamCaptureInvalidated, "operation failed due to a previous error during capture"),
    ERROR(cudaErrorStreamCaptureMerge, "operation would result in a merge of separate capture sequences"),
    ERROR(cudaErrorStreamCaptureUnmatched, "capture was not ended in the same stream as it began"),
    ERROR(cudaErrorStreamCaptureUnjoined, "capturing stream has unjoined work"),
    ERROR(cudaErrorStreamCaptureIsolation, "dependency created on uncaptured work in another stream"),
    ERROR(cudaErrorStreamCaptureImplicit,
          "operation would make the legacy stream depend on a capturing blocking stream"),
    ERROR(cudaErrorCapturedEvent, "operation not permitted on an event last recorded in a capturing stream"),
    ERROR(cudaErrorStreamCaptureWrongThread,
          "attempt to terminate a thread-local capture sequence from another thread"),
    ERROR(cudaErrorUnknown, "unknown error"),
#undef ERROR
};

const char *cudaGetErrorName(cudaError_t error)
{
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
        if (errors[i].error == error)
            return errors[i].name;
    return "unrecognized error code";
}

const char *cudaGetErrorString(cudaError_t error)
{
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
        if (errors[i].error == error)
            return errors[i].text;
    return "unrecognized error code";
}
