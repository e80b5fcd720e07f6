/* plugin.h - finding and opening a device that comes as a plug-in. Private to the room. */
#ifndef BCAM_RUN_PLUGIN_H
#define BCAM_RUN_PLUGIN_H

#include "dev/plugin.h"

/** Opens libbatchcam_NAME.so: $BATCHCAM_PLUGIN where that is set, else beside this library, else in the folder of installed libraries. It stays
 *  in memory until the process ends. E_DEVICE says what was looked for, or why it would not open. */
bcam_status bcam_plugin_load(const char *name, const bcam_device_api **out, bcam_error *err);
/** Whether a CUDA driver is installed: cheap, and without one nothing else of CUDA need be loaded. */
bool bcam_plugin_driver(void);

#endif
