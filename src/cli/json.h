/* json.h - JSON lines: one object a line, each with a message_type. Strings may hold any bytes; what is not UTF-8 becomes U+FFFD. */
#ifndef BCAM_CLI_JSON_H
#define BCAM_CLI_JSON_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

typedef struct cli_json {
    FILE *file;
    char closing[8]; /* what closes the objects and arrays now open */
    int depth;
    bool first; /* nothing in the innermost yet */
} cli_json;

/** Begins a line: {"message_type":"…" */
void cli_json_begin(cli_json *json, FILE *file, const char *message_type);
void cli_json_text(cli_json *json, const char *key, const char *value); /* NULL: null */
void cli_json_int(cli_json *json, const char *key, int64_t value);
void cli_json_real(cli_json *json, const char *key, double value); /* not finite: null */
void cli_json_bool(cli_json *json, const char *key, bool value);
void cli_json_array(cli_json *json, const char *key); /* of objects, each opened by cli_json_object */
void cli_json_object(cli_json *json);
void cli_json_close(cli_json *json); /* the innermost array or object */
/** Ends the line and sends it off. */
void cli_json_end(cli_json *json);

#endif
