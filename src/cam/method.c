/* method.c - the table of methods. */
#include <stdio.h>
#include <string.h>

#include "cam/cam.h"

static const bcam_method *const methods[] = {
    &bcam_method_gradcam,
    &bcam_method_hirescam,
};

bcam_status bcam_method_find(const char *name, const bcam_method **out, bcam_error *err)
{
    char list[256];
    size_t used = 0;
    for (size_t i = 0; i < BCAM_COUNT(methods); i++) {
        if (strcmp(methods[i]->name, name) == 0) {
            *out = methods[i];
            return BCAM_OK;
        }
        used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", i ? ", " : "", methods[i]->name);
    }
    return bcam_fail(err, BCAM_E_ARGUMENT, "there is no method '%s'; there are: %s", name, list);
}
