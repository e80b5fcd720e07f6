/* recipe_parts.h - what readers of preprocessing files share. Private to src/in. */
#ifndef BCAM_IN_RECIPE_PARTS_H
#define BCAM_IN_RECIPE_PARTS_H

#include "in/in.h"
#include "in/json.h"

/** Fails unless the file's size is the network's; one that is not known yet (0) becomes the file's. */
void bcam_recipe_check_size(bcam_fields *fields, bcam_recipe *recipe, int height, int width);

/** The names of filters in the order of bcam_filter, NULL-terminated. */
extern const char *const bcam_filter_names[];

#endif
