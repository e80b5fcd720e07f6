/* names.c - class names: a line each, or JSON; and finding a class by what a user calls it. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "in/in.h"
#include "in/json.h"

#define MAX_BYTES ((size_t)64 << 20)
#define MAX_CLASSES 10000000

/* ---- filling ---- */

static size_t synset_length(const char *text)
{
    return text[0] == 'n' && strspn(text + 1, "0123456789") == 8 ? 9 : 0;
}

/** Sets class `index` from "n01440764 tench, Tinca tinca" or a name alone. */
static bcam_status set_name(bcam_names *names, size_t index, const char *text, size_t length, bcam_error *err)
{
    char *copy = bcam_strndup(text, length);
    size_t synset = copy ? synset_length(copy) : 0, rest = synset;
    while (copy && synset && (copy[rest] == ' ' || copy[rest] == '\t')) {
        rest++;
    }
    if (copy && synset && (copy[synset] == 0 || rest > synset)) {
        names->synset[index] = bcam_strndup(copy, synset);
        names->name[index] = bcam_strdup(copy[rest] ? copy + rest : copy);
        bool complete = names->synset[index] && names->name[index];
        bcam_free(copy);
        return complete ? BCAM_OK : bcam_fail_memory(err, length, "class names");
    }
    names->name[index] = copy;
    return copy ? BCAM_OK : bcam_fail_memory(err, length, "class names");
}

static bcam_status make_room(bcam_names *names, size_t count, bcam_error *err)
{
    names->name = bcam_alloc(count, sizeof(*names->name));
    names->synset = bcam_alloc(count, sizeof(*names->synset));
    names->count = names->name && names->synset ? count : 0;
    return names->count ? BCAM_OK : bcam_fail_memory(err, 2 * count * sizeof(char *), "class names");
}

/* ---- lines ---- */

/** The next line without white space at its ends; false behind the last. */
static bool next_line(const char **at, const char *end, const char **line, size_t *length)
{
    if (*at >= end) {
        return false;
    }
    const char *stop = memchr(*at, '\n', (size_t)(end - *at)), *from = *at;
    stop = stop ? stop : end;
    *at = stop + 1;
    while (from < stop && strchr(" \t\r", *from)) {
        from++;
    }
    while (stop > from && strchr(" \t\r", stop[-1])) {
        stop--;
    }
    *line = from;
    *length = (size_t)(stop - from);
    return true;
}

/** Counts lines up to the last that is not empty; an empty one before it would shift all classes behind, and is an error. */
static bcam_status count_lines(const char *path, const char *text, const char *end, size_t *count, bcam_error *err)
{
    size_t number = 0, last = 0, empty = 0, length;
    const char *line;
    while (next_line(&text, end, &line, &length)) {
        number++;
        if (length > 0) {
            last = number;
        } else if (!empty) {
            empty = number;
        }
    }
    if (last == 0 || last > MAX_CLASSES) {
        return bcam_fail(err, BCAM_E_INPUT, "'%s' holds no class names, one a line", path);
    }
    if (empty && empty < last) {
        return bcam_fail(err, BCAM_E_INPUT,
                         "'%s', line %zu is empty; one class name a line is expected, in the model's order", path,
                         empty);
    }
    *count = last;
    return BCAM_OK;
}

static bcam_status read_lines(const char *path, const char *text, size_t bytes, bcam_names *out, bcam_error *err)
{
    const char *end = text + bytes, *line;
    size_t count = 0, length;
    if (memchr(text, 0, bytes)) {
        return bcam_fail(err, BCAM_E_INPUT, "'%s' is not a text file: it holds zero bytes", path);
    }
    bcam_status status = count_lines(path, text, end, &count, err);
    if (status == BCAM_OK) {
        status = make_room(out, count, err);
    }
    for (size_t i = 0; status == BCAM_OK && i < count && next_line(&text, end, &line, &length); i++) {
        status = set_name(out, i, line, length, err);
    }
    return status;
}

/* ---- JSON ---- */

static bcam_status set_joined_name(bcam_names *names, size_t index, const char *synset, const char *name,
                                   bcam_error *err)
{
    char *joined = bcam_format("%s %s", synset, name);
    bcam_status status = joined ? set_name(names, index, joined, strlen(joined), err)
                                : bcam_fail_memory(err, strlen(name), "class names");
    bcam_free(joined);
    return status;
}

/** A name, or Keras's ["n01440764", "tench"]. */
static bcam_status set_json_name(const char *path, bcam_names *names, size_t index, const bcam_json *value,
                                 bcam_error *err)
{
    const char *text = bcam_json_text(value);
    if (!text && bcam_json_is_array(value) && bcam_json_count(value) == 2) {
        const char *synset = bcam_json_text(bcam_json_first(value)),
                   *name = bcam_json_text(bcam_json_next(bcam_json_first(value)));
        if (synset && name) {
            return set_joined_name(names, index, synset, name, err);
        }
    }
    if (!text) {
        return bcam_fail(err, BCAM_E_INPUT, "'%s': the name of class %zu is not a text", path, index);
    }
    return set_name(names, index, text, strlen(text), err);
}

/** {"0": "tench", "1": …} in any order; each class once. */
static bcam_status read_map(const char *path, const bcam_json *map, size_t count, bcam_names *out, bcam_error *err)
{
    for (const bcam_json *item = bcam_json_first(map); item; item = bcam_json_next(item)) {
        const char *key = bcam_json_key(item);
        char *end = NULL;
        unsigned long index = strtoul(key, &end, 10);
        if (key[0] < '0' || key[0] > '9' || *end || index >= count || out->name[index]) {
            return bcam_fail(err, BCAM_E_INPUT,
                             "'%s': '%.40s' is not a class; the numbers 0 to %zu are expected, each once", path, key,
                             count - 1);
        }
        bcam_status status = set_json_name(path, out, index, item, err);
        if (status != BCAM_OK) {
            return status;
        }
    }
    return BCAM_OK;
}

/** A list of names; timm's label_names are keys of label_descriptions. */
static bcam_status read_list(const char *path, const bcam_json *list, const bcam_json *descriptions, bcam_names *out,
                             bcam_error *err)
{
    bcam_status status = BCAM_OK;
    size_t index = 0;
    for (const bcam_json *item = bcam_json_first(list); item && status == BCAM_OK;
         item = bcam_json_next(item), index++) {
        const char *label = bcam_json_text(item),
                   *text = label ? bcam_json_text(bcam_json_get(descriptions, label)) : NULL;
        status = text && synset_length(label) ? set_joined_name(out, index, label, text, err)
                 : text                       ? set_name(out, index, text, strlen(text), err)
                                              : set_json_name(path, out, index, item, err);
    }
    return status;
}

static bcam_status read_json(const char *path, bcam_names *out, bcam_error *err)
{
    bcam_json *document = NULL;
    bcam_status status = bcam_json_read(path, &document, err);
    if (status != BCAM_OK) {
        return status;
    }
    const bcam_json *root = document, *inner = bcam_json_get(root, "pretrained_cfg");
    root = bcam_json_get(inner, "label_names") ? inner : root;
    const bcam_json *map = bcam_json_get(root, "id2label"), *list = bcam_json_get(root, "label_names");
    const bcam_json *names = map ? map : list ? list : root;
    int count = bcam_json_count(names);
    if (count < 1 || count > MAX_CLASSES) {
        status = bcam_fail(err, BCAM_E_INPUT, "'%s' holds no class names", path);
    } else {
        status = make_room(out, (size_t)count, err);
    }
    if (status == BCAM_OK) {
        status = bcam_json_is_array(names) ? read_list(path, names, bcam_json_get(root, "label_descriptions"), out, err)
                                           : read_map(path, names, (size_t)count, out, err);
    }
    bcam_json_close(&document);
    return status;
}

bcam_status bcam_names_read(const char *path, bcam_names *out, bcam_error *err)
{
    char *text = NULL;
    size_t bytes = 0;
    memset(out, 0, sizeof(*out));
    bcam_status status = bcam_file_read(path, MAX_BYTES, &text, &bytes, err);
    if (status != BCAM_OK) {
        return status;
    }
    size_t start = bytes >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0,
           first = start + strspn(text + start, " \t\r\n");
    status = text[first] == '{' || text[first] == '[' ? read_json(path, out, err)
                                                      : read_lines(path, text + start, bytes - start, out, err);
    bcam_free(text);
    if (status != BCAM_OK) {
        bcam_names_fini(out);
    }
    return status;
}

/* ---- finding ---- */

typedef int compare_fn(const char *a, const char *b, size_t length);

static bool same(const char *name, size_t length, const char *text, bool exactly)
{
    compare_fn *compare = exactly ? strncmp : strncasecmp;
    return strlen(text) == length && compare(name, text, length) == 0;
}

/** The first class whose whole name, or the part before its first comma, is the text; -1: none. */
static int find_name(const bcam_names *names, const char *text, bool whole, bool exactly)
{
    for (size_t i = 0; i < names->count; i++) {
        size_t length = whole ? strlen(names->name[i]) : strcspn(names->name[i], ",");
        if (same(names->name[i], length, text, exactly)) {
            return (int)i;
        }
    }
    return -1;
}

static int find_synset(const bcam_names *names, const char *text)
{
    for (size_t i = 0; i < names->count; i++) {
        if (names->synset[i] && strcmp(names->synset[i], text) == 0) {
            return (int)i;
        }
    }
    return -1;
}

int bcam_names_find(const bcam_names *names, const char *text)
{
    int found = -1;
    if (text[0] == 0) {
        return -1;
    }
    for (int way = 0; way < 4 && found < 0; way++) {
        found = find_name(names, text, way < 2, way % 2 == 0);
    }
    if (found < 0) {
        found = find_synset(names, text);
    }
    if (found < 0 && strspn(text, "0123456789") == strlen(text) && strlen(text) < 9 &&
        (size_t)atoi(text) < names->count) {
        found = atoi(text);
    }
    return found;
}

void bcam_names_fini(bcam_names *names)
{
    for (size_t i = 0; i < names->count; i++) {
        bcam_free(names->name[i]);
        bcam_free(names->synset[i]);
    }
    bcam_free(names->name);
    bcam_free(names->synset);
    memset(names, 0, sizeof(*names));
}
