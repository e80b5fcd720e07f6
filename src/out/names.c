/* names.c - what layers, methods and classes are called in file names and pages. */
#include <stdio.h>
#include <string.h>

#include "out/writer.h"

#define STEM_LIMIT 120 /* a file name has 255 bytes; number, photo and class need some of them */

static bool is_safe(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
           c == '-';
}

void bcam_out_safe_name(const char *text, size_t length, size_t limit, char *out)
{
    size_t n = 0;
    for (; n < length && n < limit && text[n] != '\0'; n++)
        out[n] = is_safe(text[n]) && !(n == 0 && text[n] == '.') ? text[n] : '_';
    out[n] = '\0';
}

static bool is_taken(const bcam_out_shared *shared, const char *stem)
{
    for (size_t i = 0; i < shared->stem_count; i++)
        if (strcmp(shared->stems[i].stem, stem) == 0)
            return true;
    return false;
}

/* "a/b" and "a_b" are both a_b when safe: the second one becomes a_b_2. */
static char *make_stem(const bcam_out_shared *shared, const char *layer, const char *method)
{
    char safe_layer[STEM_LIMIT + 1], safe_method[33];
    bcam_out_safe_name(layer, strlen(layer), STEM_LIMIT, safe_layer);
    bcam_out_safe_name(method, strlen(method), 32, safe_method);
    char *stem = bcam_format("%s-%s", safe_layer, safe_method);
    for (int n = 2; stem && is_taken(shared, stem); n++) {
        bcam_free(stem);
        stem = bcam_format("%s-%s_%d", safe_layer, safe_method, n);
    }
    return stem;
}

const char *bcam_out_stem_of(bcam_out_shared *shared, const char *layer, const char *method)
{
    for (size_t i = 0; i < shared->stem_count; i++)
        if (strcmp(shared->stems[i].layer, layer) == 0 && strcmp(shared->stems[i].method, method) == 0)
            return shared->stems[i].stem;
    if (!bcam_grow(&shared->stems, &shared->stem_capacity, shared->stem_count, sizeof *shared->stems))
        return NULL;
    bcam_out_stem new = {bcam_strdup(layer), bcam_strdup(method), make_stem(shared, layer, method)};
    if (!new.layer || !new.method || !new.stem) {
        bcam_free(new.layer);
        bcam_free(new.method);
        bcam_free(new.stem);
        return NULL;
    }
    shared->stems[shared->stem_count++] = new;
    return new.stem;
}

void bcam_out_shard_file(const char *stem, int shard, char out[BCAM_OUT_FILE])
{
    snprintf(out, BCAM_OUT_FILE, "maps/%s-%05d.npy", stem, shard);
}

const char *bcam_out_class_name(const bcam_out_settings *settings, int class_id, char number[16])
{
    if (settings->class_names && class_id >= 0 && class_id < settings->class_count && settings->class_names[class_id])
        return settings->class_names[class_id];
    snprintf(number, 16, "%d", class_id);
    return number;
}

const char *bcam_out_map_outcome(bcam_map_outcome outcome)
{
    switch (outcome) {
    case BCAM_MAP_OK:
        return "ok";
    case BCAM_MAP_ALL_ZERO:
        return "all_zero";
    case BCAM_MAP_CONSTANT:
        return "constant";
    case BCAM_MAP_NOT_FINITE:
        return "not_finite";
    case BCAM_MAP_NONE:
        break;
    }
    return "none";
}
