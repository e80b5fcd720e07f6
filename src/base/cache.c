/* cache.c - where things are kept that can be found out again. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/base.h"

/* The folders on the way to a file, an absolute path, as far as they are missing. */
static bool make_folders(char *path)
{
    bool there = true;
    for (char *slash = strchr(path + 1, '/'); slash && there; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        there = mkdir(path, 0700) == 0 || errno == EEXIST;
        *slash = '/';
    }
    return there;
}

char *bcam_cache_path(const char *name, bool make)
{
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (cache && cache[0] != '/')
        cache = NULL;
    if (!cache && (!home || home[0] != '/'))
        return NULL;
    char *path = bcam_format("%s%s/batchcam/%s", cache ? cache : home, cache ? "" : "/.cache", name);
    if (path && make && !make_folders(path)) {
        bcam_free(path);
        path = NULL;
    }
    return path;
}
