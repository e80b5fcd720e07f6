/* json.c - see json.h. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "json.h"

/* How many bytes the UTF-8 character at p has; 0 where it is not one (overlong forms, surrogates and beyond U+10FFFF included). */
static int utf8_length(const unsigned char *p)
{
    if (p[0] < 0x80)
        return 1;
    int more = p[0] >= 0xC2 && p[0] <= 0xDF ? 1 : (p[0] & 0xF0) == 0xE0 ? 2 : p[0] >= 0xF0 && p[0] <= 0xF4 ? 3 : 0;
    for (int i = 1; i <= more; i++)
        if ((p[i] & 0xC0) != 0x80) /* the terminating zero ends it too */
            return 0;
    if ((p[0] == 0xE0 && p[1] < 0xA0) || (p[0] == 0xED && p[1] > 0x9F) || (p[0] == 0xF0 && p[1] < 0x90) ||
        (p[0] == 0xF4 && p[1] > 0x8F))
        return 0;
    return more ? more + 1 : 0;
}

static void put_string(FILE *file, const char *text)
{
    putc('"', file);
    for (const unsigned char *p = (const unsigned char *)text; *p;) {
        int length = utf8_length(p);
        if (*p == '"' || *p == '\\')
            fprintf(file, "\\%c", *p);
        else if (*p == '\n')
            fputs("\\n", file);
        else if (*p < 0x20 || *p == 0x7F)
            fprintf(file, "\\u%04x", *p);
        else if (length)
            fwrite(p, 1, (size_t)length, file);
        else
            fputs("\\ufffd", file);
        p += length ? length : 1;
    }
    putc('"', file);
}

static void put_key(cli_json *json, const char *key)
{
    if (!json->first)
        putc(',', json->file);
    json->first = false;
    if (key) {
        put_string(json->file, key);
        putc(':', json->file);
    }
}

static void open_with(cli_json *json, char opening, char closing)
{
    putc(opening, json->file);
    json->closing[json->depth++] = closing;
    json->first = true;
}

void cli_json_begin(cli_json *json, FILE *file, const char *message_type)
{
    *json = (cli_json){.file = file};
    open_with(json, '{', '}');
    cli_json_text(json, "message_type", message_type);
}

void cli_json_text(cli_json *json, const char *key, const char *value)
{
    put_key(json, key);
    if (value)
        put_string(json->file, value);
    else
        fputs("null", json->file);
}

void cli_json_int(cli_json *json, const char *key, int64_t value)
{
    put_key(json, key);
    fprintf(json->file, "%" PRId64, value);
}

void cli_json_real(cli_json *json, const char *key, double value)
{
    put_key(json, key);
    if (isfinite(value))
        fprintf(json->file, "%.9g", value);
    else
        fputs("null", json->file);
}

void cli_json_bool(cli_json *json, const char *key, bool value)
{
    put_key(json, key);
    fputs(value ? "true" : "false", json->file);
}

void cli_json_array(cli_json *json, const char *key)
{
    put_key(json, key);
    open_with(json, '[', ']');
}

void cli_json_object(cli_json *json)
{
    put_key(json, NULL);
    open_with(json, '{', '}');
}

void cli_json_close(cli_json *json)
{
    putc(json->closing[--json->depth], json->file);
    json->first = false;
}

void cli_json_end(cli_json *json)
{
    while (json->depth)
        cli_json_close(json);
    putc('\n', json->file);
    fflush(json->file); /* whoever reads along gets whole lines at once */
}
