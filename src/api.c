/* api.c - the public face: what has no better place. The other public calls are defined where their work is done. */
#include "batchcam.h"

const char *bcam_version(void)
{
    return BCAM_VERSION_STRING;
}
