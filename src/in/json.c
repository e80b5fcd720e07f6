/* json.c - see json.h. The only file of this room that knows cJSON. */
#include "in/json.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include <cJSON.h>

#define MAX_BYTES (64u << 20)

bcam_status bcam_json_parse(const char *text, size_t bytes, const char *name, bcam_json **out, bcam_error *err)
{
    const char *stopped = NULL;
    int line = 1;
    errno = 0; /* cJSON gives the same answer to damage and to a lack of memory */
    *out = cJSON_ParseWithLengthOpts(text, bytes + 1, &stopped,
                                     1); /* with the zero byte behind it: nothing may follow the value */
    if (*out) {
        return BCAM_OK;
    }
    if (errno == ENOMEM) {
        return bcam_fail_memory(err, bytes, name);
    }
    for (const char *c = text; stopped && c < stopped; c++) {
        line += *c == '\n';
    }
    return bcam_fail(err, BCAM_E_INPUT, "%s: line %d is not valid JSON", name, line);
}

bcam_status bcam_json_read(const char *path, bcam_json **out, bcam_error *err)
{
    char *text = NULL;
    size_t bytes = 0;
    *out = NULL;
    bcam_status status = bcam_file_read(path, MAX_BYTES, &text, &bytes, err);
    if (status == BCAM_OK) {
        status = bcam_json_parse(text, bytes, path, out, err);
    }
    bcam_free(text);
    return status;
}

void bcam_json_close(bcam_json **document)
{
    cJSON_Delete(*document);
    *document = NULL;
}

bool bcam_json_is_object(const bcam_json *value)
{
    return cJSON_IsObject(value);
}

bool bcam_json_is_array(const bcam_json *value)
{
    return cJSON_IsArray(value);
}

int bcam_json_count(const bcam_json *value)
{
    return cJSON_GetArraySize(value);
}

const bcam_json *bcam_json_first(const bcam_json *value)
{
    return value ? value->child : NULL;
}

const bcam_json *bcam_json_next(const bcam_json *value)
{
    return value ? value->next : NULL;
}

const char *bcam_json_key(const bcam_json *value)
{
    return value && value->string ? value->string : "";
}

const char *bcam_json_text(const bcam_json *value)
{
    return cJSON_IsString(value) ? value->valuestring : NULL;
}

const bcam_json *bcam_json_get(const bcam_json *object, const char *key)
{
    const bcam_json *value = cJSON_IsObject(object) ? cJSON_GetObjectItemCaseSensitive(object, key) : NULL;
    return cJSON_IsNull(value) ? NULL : value;
}

bool bcam_json_number(const bcam_json *value, double *out)
{
    if (!cJSON_IsNumber(value) || !isfinite(value->valuedouble)) {
        return false;
    }
    *out = value->valuedouble;
    return true;
}

/* ---- fields ---- */

void bcam_fields_fail(bcam_fields *fields, const char *format, ...)
{
    if (fields->status != BCAM_OK) {
        return;
    }
    char text[768];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    fields->status = bcam_fail(fields->err, BCAM_E_INPUT, "%s: %s", fields->path, text);
}

static size_t list_length(const char *const *list)
{
    size_t length = 0;
    while (list[length]) {
        length++;
    }
    return length;
}

static bool in_list(const char *word, const char *const *list)
{
    while (*list && strcmp(*list, word) != 0) {
        list++;
    }
    return *list != NULL;
}

void bcam_fields_only(bcam_fields *fields, const char *const *known, const char *const *harmless)
{
    if (!bcam_json_is_object(fields->object)) {
        bcam_fields_fail(fields, "a JSON object is expected");
        return;
    }
    for (const bcam_json *child = fields->object->child; child; child = child->next) {
        const char *key = bcam_json_key(child);
        if (!in_list(key, known) && !in_list(key, harmless)) {
            char nearest[256];
            bcam_nearest(key, known, list_length(known), nearest, sizeof(nearest));
            bcam_fields_fail(fields, "the field '%.100s' is not understood%s%s%s", key, *nearest ? "; is it " : "",
                             nearest, *nearest ? "?" : "");
            return;
        }
    }
}

bool bcam_fields_bool(bcam_fields *fields, const char *key, bool fallback)
{
    const bcam_json *value = bcam_json_get(fields->object, key);
    if (!value || fields->status != BCAM_OK) {
        return fallback;
    }
    if (!cJSON_IsBool(value)) {
        bcam_fields_fail(fields, "'%s' must be true or false", key);
        return fallback;
    }
    return cJSON_IsTrue(value);
}

double bcam_fields_number(bcam_fields *fields, const char *key, double fallback)
{
    const bcam_json *value = bcam_json_get(fields->object, key);
    double number = fallback;
    if (value && fields->status == BCAM_OK && !bcam_json_number(value, &number)) {
        bcam_fields_fail(fields, "'%s' must be a number", key);
    }
    return number;
}

int bcam_fields_int(bcam_fields *fields, const char *key, int fallback)
{
    const bcam_json *value = bcam_json_get(fields->object, key);
    double number = 0;
    if (!value || fields->status != BCAM_OK) {
        return fallback;
    }
    if (!bcam_json_number(value, &number) || number != floor(number) || number < 1 || number > 65536) {
        bcam_fields_fail(fields, "'%s' must be a whole number from 1 to 65536", key);
        return fallback;
    }
    return (int)number;
}

const char *bcam_fields_text(bcam_fields *fields, const char *key, const char *fallback)
{
    const bcam_json *value = bcam_json_get(fields->object, key);
    if (!value || fields->status != BCAM_OK) {
        return fallback;
    }
    if (!bcam_json_text(value)) {
        bcam_fields_fail(fields, "'%s' must be a text", key);
        return fallback;
    }
    return bcam_json_text(value);
}

bool bcam_fields_numbers(bcam_fields *fields, const char *key, double *out, int count)
{
    const bcam_json *value = bcam_json_get(fields->object, key);
    if (!value || fields->status != BCAM_OK) {
        return false;
    }
    double all;
    bool good = true;
    if (bcam_json_number(value, &all)) {
        for (int i = 0; i < count; i++) {
            out[i] = all;
        }
        return true;
    }
    good = cJSON_IsArray(value) && cJSON_GetArraySize(value) == count;
    const bcam_json *item = good ? value->child : NULL;
    for (int i = 0; i < count && good; i++, item = item->next) {
        good = bcam_json_number(item, &out[i]);
    }
    if (!good) {
        bcam_fields_fail(fields, "'%s' must be a list of %d numbers", key, count);
    }
    return good;
}

int bcam_fields_word(bcam_fields *fields, const char *key, const char *const *words, int fallback)
{
    const char *word = bcam_fields_text(fields, key, NULL);
    if (!word) {
        return fallback;
    }
    for (int i = 0; words[i]; i++) {
        if (strcmp(words[i], word) == 0) {
            return i;
        }
    }
    char known[256] = "";
    for (int i = 0; words[i]; i++) {
        size_t used = strlen(known);
        snprintf(known + used, sizeof(known) - used, "%s'%s'", i ? ", " : "", words[i]);
    }
    bcam_fields_fail(fields, "'%s' is '%.60s'; known are %s", key, word, known);
    return fallback;
}
