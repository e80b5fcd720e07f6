/* build_id.c - what a plug-in and its host must have in common. The build gives the hash. */
#include "dev/plugin.h"

#ifndef BCAM_BUILD_ID
#define BCAM_BUILD_ID "none"
#endif

const char *bcam_build_id(void)
{
    return BCAM_BUILD_ID;
}
