/* json.h - reading small JSON files: a document, and fields of an object with their types checked. Private to src/in; json.c is the only file of
 * this room that knows cJSON. */
#ifndef BCAM_IN_JSON_H
#define BCAM_IN_JSON_H

#include "base/base.h"

typedef struct cJSON bcam_json; /* a value; children belong to their document */

/** Reads a JSON file (at most 64 MiB, at most 1000 levels). E_INPUT names the file and the line where reading stopped. */
bcam_status bcam_json_read(const char *path, bcam_json **out, bcam_error *err);
/** The same of a text with a zero byte behind it; `name`: what messages call it. */
bcam_status bcam_json_parse(const char *text, size_t bytes, const char *name, bcam_json **out, bcam_error *err);
void bcam_json_close(bcam_json **document);

bool bcam_json_is_object(const bcam_json *value);
bool bcam_json_is_array(const bcam_json *value);
int bcam_json_count(const bcam_json *value);                              /* of children */
const bcam_json *bcam_json_first(const bcam_json *value);                 /* child, or NULL */
const bcam_json *bcam_json_next(const bcam_json *value);                  /* sibling, or NULL */
const char *bcam_json_key(const bcam_json *value);                        /* its name in the object that holds it */
const char *bcam_json_text(const bcam_json *value);                       /* NULL where it is not a string */
const bcam_json *bcam_json_get(const bcam_json *object, const char *key); /* NULL where absent, or null */
bool bcam_json_number(const bcam_json *value, double *out);               /* false where it is not a finite number */

/** Fields of one object, read one after the other; the first wrong one sets status and err, later calls give their fallbacks. */
typedef struct bcam_fields {
    const char *path; /* of the file, for messages */
    const bcam_json *object;
    bcam_error *err;
    bcam_status status;
} bcam_fields;

/** Fails where the object has a field that is in neither list (NULL-terminated); the message names the nearest of `known`. */
void bcam_fields_only(bcam_fields *fields, const char *const *known, const char *const *harmless);
bool bcam_fields_bool(bcam_fields *fields, const char *key, bool fallback);
double bcam_fields_number(bcam_fields *fields, const char *key, double fallback);
int bcam_fields_int(bcam_fields *fields, const char *key, int fallback); /* 1 … 65536 */
const char *bcam_fields_text(bcam_fields *fields, const char *key, const char *fallback);
/** A list of exactly `count` numbers, or one number for all; `out` is untouched where the field is absent. True where it was there. */
bool bcam_fields_numbers(bcam_fields *fields, const char *key, double *out, int count);
/** The place of a text among `words` (NULL-terminated); `fallback` where absent. */
int bcam_fields_word(bcam_fields *fields, const char *key, const char *const *words, int fallback);
/** Sets status and err: "FILE: <message>". */
void bcam_fields_fail(bcam_fields *fields, const char *format, ...) BCAM_PRINTF(2, 3);

#endif
