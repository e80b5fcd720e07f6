/* plugin.h - what a device that comes as a plug-in and its host tell each other. A plug-in exports one symbol and needs none of the host's;
 * base/ and dev/ are compiled into both, hidden. */
#ifndef BCAM_PLUGIN_H
#define BCAM_PLUGIN_H

#include "dev/dev.h"

/** The host, as a plug-in sees it. */
typedef struct bcam_plugin_host {
    unsigned abi; /* BCAM_DEVICE_ABI */
    const char
        *build_id; /* bcam_build_id() of the host; a plug-in of another build is refused, for both share structs */
} bcam_plugin_host;

/** The one exported symbol, "bcam_plugin_open". Checks the host and the machine's libraries (their versions); *out is the plug-in's table. Errors:
 *  E_DEVICE with a sentence that says what is missing or does not fit. */
typedef bcam_status (*bcam_plugin_open_fn)(const bcam_plugin_host *host, const bcam_device_api **out, bcam_error *err);
#define BCAM_PLUGIN_SYMBOL "bcam_plugin_open"

/** A hash of the sources of base/, dev/ and batchcam.h that this was built from, made by the build. */
const char *bcam_build_id(void);

#endif
