/* plugin.c - finding and opening a device that comes as a plug-in. */
#include "run/plugin.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef BCAM_LIBDIR
#define BCAM_LIBDIR "/usr/local/lib"
#endif

/* The plug-in's path, allocated; NULL where memory is out or there is none. */
static char *find_file(const char *name, bcam_error *err)
{
    const char *given = getenv("BATCHCAM_PLUGIN");
    if (given && *given && access(given, R_OK) == 0)
        return bcam_strdup(given);
    if (given && *given) {
        bcam_fail(err, BCAM_E_DEVICE,
                  "BATCHCAM_PLUGIN names '%s', which cannot be read; give the path of libbatchcam_%s.so", given, name);
        return NULL;
    }
    Dl_info self;
    char *folder =
        dladdr((void *)(uintptr_t)bcam_plugin_load, &self) && self.dli_fname ? bcam_path_dir(self.dli_fname) : NULL;
    char *beside = folder ? bcam_format("%s/libbatchcam_%s.so", folder, name) : NULL;
    char *installed = bcam_format("%s/libbatchcam_%s.so", BCAM_LIBDIR, name), *found = NULL;
    if (beside && access(beside, R_OK) == 0)
        found = bcam_strdup(beside);
    else if (installed && access(installed, R_OK) == 0)
        found = bcam_strdup(installed);
    if (!found)
        bcam_fail(
            err, BCAM_E_DEVICE,
            "device '%s' needs its plug-in, libbatchcam_%s.so, which is not beside libbatchcam; build it with -DBCAM_CUDA=ON, or name its file in "
            "BATCHCAM_PLUGIN",
            name, name);
    bcam_free(folder);
    bcam_free(beside);
    bcam_free(installed);
    return found;
}

static bcam_status open_file(const char *path, const bcam_device_api **out, bcam_error *err)
{
    /* NODELETE: CUDA's libraries do not bear being unloaded, and the table must stay. */
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (!library)
        return bcam_fail(err, BCAM_E_DEVICE,
                         "the plug-in cannot be opened: %s; CUDA's run time, cuBLAS and cuDNN must be installed",
                         dlerror());
    bcam_plugin_open_fn open_plugin = NULL;
    void *symbol = dlsym(library, BCAM_PLUGIN_SYMBOL);
    bcam_plugin_host host = {BCAM_DEVICE_ABI, bcam_build_id()};
    bcam_status status;
    memcpy(&open_plugin, &symbol, sizeof symbol);
    if (open_plugin)
        status = open_plugin(&host, out, err);
    else
        status =
            bcam_fail(err, BCAM_E_DEVICE, "'%s' is not a plug-in of batchcam: it has no %s", path, BCAM_PLUGIN_SYMBOL);
    if (!status && (*out)->abi != BCAM_DEVICE_ABI)
        status = bcam_fail(err, BCAM_E_DEVICE, "the plug-in '%s' is of another version", path);
    dlclose(library);
    return status;
}

bcam_status bcam_plugin_load(const char *name, const bcam_device_api **out, bcam_error *err)
{
    bcam_error why = {.code = BCAM_E_MEMORY, .message = "out of memory"};
    *out = NULL;
    char *path = find_file(name, &why);
    if (!path)
        return bcam_fail(err, why.code, "%s", why.message);
    bcam_status status = open_file(path, out, err);
    bcam_free(path);
    return status;
}

bool bcam_plugin_driver(void)
{
    void *driver = dlopen("libcuda.so.1", RTLD_LAZY | RTLD_LOCAL);
    if (driver)
        dlclose(driver);
    return driver != NULL;
}
