/* recipe.h - readers of preprocessing files. Private to src/in. */
#ifndef BCAM_IN_RECIPE_H
#define BCAM_IN_RECIPE_H

#include "in/in.h"
#include "in/json.h"

/* Each fills `out` from fields->object; out->height and width are the network's and must be what the file leads to. Errors: fields->status. */
void bcam_recipe_from_timm(bcam_fields *fields, bcam_recipe *out); /* recipe_timm.c: config.json */
void bcam_recipe_from_hf(bcam_fields *fields, bcam_recipe *out);   /* recipe_hf.c: preprocessor_config.json */

/** Fails unless the file's size is the network's. */
void bcam_recipe_check_size(bcam_fields *fields, const bcam_recipe *recipe, int height, int width);

/** The names of filters in the order of bcam_filter, NULL-terminated. */
extern const char *const bcam_filter_names[];

#endif
