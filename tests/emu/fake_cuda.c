/* fake_cuda.c - a driver, libcuda.so.1, that finds no device. The real cuDNN compiles kernels for a described card only where it can open this
 * library and finds these names in it; none of them is ever of use to it. */

enum { NO_DEVICE = 100, VERSION = 13000 };

int cuInit(unsigned flags);
int cuDriverGetVersion(int *version);
int cuDeviceGetCount(int *count);

int cuInit(unsigned flags)
{
    (void)flags;
    return NO_DEVICE;
}

int cuDriverGetVersion(int *version)
{
    *version = VERSION;
    return 0;
}

int cuDeviceGetCount(int *count)
{
    *count = 0;
    return 0;
}

/* clang-format off */
#define NAMES(NAME)                                                                                                    \
    NAME(cuGetErrorString)                                                                                             \
    NAME(cuGetErrorName)                                                                                               \
    NAME(cuDeviceGet) NAME(cuDeviceGetAttribute) NAME(cuDevicePrimaryCtxRetain) NAME(cuDevicePrimaryCtxRelease)        \
        NAME(cuDevicePrimaryCtxReset) NAME(cuCtxGetCurrent) NAME(cuCtxPushCurrent) NAME(cuCtxPopCurrent)               \
            NAME(cuCtxGetDevice) NAME(cuCtxGetLimit) NAME(cuStreamGetCtx) NAME(cuStreamSynchronize)                    \
                NAME(cuModuleLoadData) NAME(cuModuleLoadDataEx) NAME(cuModuleLoadFatBinary) NAME(cuModuleUnload)       \
                    NAME(cuModuleGetFunction) NAME(cuModuleGetGlobal_v2) NAME(cuLibraryLoadData)                       \
                        NAME(cuLibraryLoadFromFile) NAME(cuLibraryUnload) NAME(cuLibraryGetKernel)                     \
                            NAME(cuKernelGetAttribute) NAME(cuKernelSetAttribute) NAME(cuFuncGetAttribute)             \
                                NAME(cuFuncSetAttribute) NAME(cuLaunchKernel) NAME(cuLaunchKernelEx)                   \
                                    NAME(cuLaunchCooperativeKernel) NAME(cuLinkCreate) NAME(cuLinkCreate_v2)           \
                                        NAME(cuLinkAddData) NAME(cuLinkAddData_v2) NAME(cuLinkAddFile_v2)              \
                                            NAME(cuLinkComplete) NAME(cuLinkDestroy) NAME(cuMemcpyDtoH_v2)             \
                                                NAME(cuTensorMapEncodeTiled) NAME(cuOccupancyMaxPotentialClusterSize)  \
                                                    NAME(cuOccupancyMaxActiveBlocksPerMultiprocessor)
/* clang-format on */

#define REFUSE(name)                                                                                                   \
    int name(void);                                                                                                    \
    int name(void)                                                                                                     \
    {                                                                                                                  \
        return NO_DEVICE;                                                                                              \
    }

NAMES(REFUSE)
