/* text.c - text that grows: plain, escaped for HTML, base64. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "out/writer.h"

/* Room for `bytes` more and the zero byte behind them; NULL (and `failed`) when memory is out. */
static char *reserve(bcam_text *text, size_t bytes)
{
    size_t wanted = text->bytes + bytes + 1;
    if (text->failed || wanted < bytes) {
        text->failed = true;
        return NULL;
    }
    if (wanted > text->capacity) {
        size_t capacity = wanted < 256 ? 256 : wanted + wanted / 2;
        char *grown = bcam_realloc(text->data, capacity, 1);
        if (!grown) {
            text->failed = true;
            return NULL;
        }
        text->data = grown;
        text->capacity = capacity;
    }
    return text->data + text->bytes;
}

static void add_bytes(bcam_text *text, const char *data, size_t bytes)
{
    char *to = reserve(text, bytes);
    if (!to)
        return;
    memcpy(to, data, bytes);
    to[bytes] = '\0';
    text->bytes += bytes;
}

void bcam_text_add(bcam_text *text, const char *string)
{
    add_bytes(text, string, strlen(string));
}

void bcam_text_format(bcam_text *text, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int needed = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *to = needed < 0 ? NULL : reserve(text, (size_t)needed);
    if (!to)
        return;
    va_start(args, format);
    vsnprintf(to, (size_t)needed + 1, format, args);
    va_end(args);
    text->bytes += (size_t)needed;
}

/* Bytes of the UTF-8 sequence at s (RFC 3629: shortest form, no surrogates, up to U+10FFFF); 0 where there is
 * none. Never reads past a zero byte. */
static size_t sequence(const char *string)
{
    const unsigned char *s = (const unsigned char *)string;
    if (s[0] < 0x80)
        return 1;
    size_t more = s[0] >= 0xC2 && s[0] <= 0xDF   ? 1
                  : s[0] >= 0xE0 && s[0] <= 0xEF ? 2
                  : s[0] >= 0xF0 && s[0] <= 0xF4 ? 3
                                                 : 0;
    if (more == 0)
        return 0;
    unsigned low = s[0] == 0xE0 ? 0xA0 : s[0] == 0xF0 ? 0x90 : 0x80;
    unsigned high = s[0] == 0xED ? 0x9F : s[0] == 0xF4 ? 0x8F : 0xBF;
    if (s[1] < low || s[1] > high)
        return 0;
    for (size_t i = 2; i <= more; i++)
        if ((s[i] & 0xC0) != 0x80)
            return 0;
    return more + 1;
}

bool bcam_utf8_valid(const char *string)
{
    while (*string) {
        size_t n = sequence(string);
        if (n == 0)
            return false;
        string += n;
    }
    return true;
}

static const char *entity(char c)
{
    switch (c) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return "&quot;";
    case '\'':
        return "&#39;";
    default:
        return NULL;
    }
}

static void add_clean(bcam_text *text, const char *string, bool html)
{
    while (*string && !text->failed) {
        size_t n = sequence(string);
        const char *escaped = html ? entity(*string) : NULL;
        if (escaped)
            bcam_text_add(text, escaped);
        else if (n == 0 || (n == 1 && ((unsigned char)*string < 0x20 || *string == 0x7F)))
            bcam_text_add(text, "\xEF\xBF\xBD");
        else
            add_bytes(text, string, n);
        string += n ? n : 1;
    }
}

void bcam_text_utf8(bcam_text *text, const char *string)
{
    add_clean(text, string, false);
}

void bcam_text_html(bcam_text *text, const char *string)
{
    add_clean(text, string, true);
}

void bcam_text_base64(bcam_text *text, const void *data, size_t bytes)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const uint8_t *from = data;
    char *to = reserve(text, (bytes + 2) / 3 * 4);
    if (!to)
        return;
    for (size_t i = 0; i < bytes; i += 3) {
        uint32_t three = (uint32_t)from[i] << 16;
        three |= i + 1 < bytes ? (uint32_t)from[i + 1] << 8 : 0;
        three |= i + 2 < bytes ? from[i + 2] : 0;
        *to++ = digits[three >> 18];
        *to++ = digits[three >> 12 & 63];
        *to++ = i + 1 < bytes ? digits[three >> 6 & 63] : '=';
        *to++ = i + 2 < bytes ? digits[three & 63] : '=';
    }
    *to = '\0';
    text->bytes = (size_t)(to - text->data);
}

void bcam_text_fini(bcam_text *text)
{
    bcam_free(text->data);
    *text = (bcam_text){0};
}
