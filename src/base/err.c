/* err.c - statuses and messages. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/base.h"

const char *bcam_status_text(bcam_status status)
{
    switch (status) {
#define BCAM_STATUS_CASE(name, value, text)                                                                            \
    case BCAM_##name:                                                                                                  \
        return text;
        BCAM_STATUS_LIST(BCAM_STATUS_CASE)
#undef BCAM_STATUS_CASE
    }
    return "unknown status";
}

/* Messages quote what users and files say, so they may hold anything. What would break a line or a terminal is shown as \xNN. */
static void make_printable(const char *from, char *to, size_t size)
{
    size_t n = 0;
    for (const unsigned char *p = (const unsigned char *)from; *p && n + 5 < size; p++) {
        if (*p == '\n' || *p == '\r' || *p == '\t')
            to[n++] = ' ';
        else if (*p < 0x20 || *p == 0x7f)
            n += (size_t)snprintf(to + n, size - n, "\\x%02x", *p);
        else
            to[n++] = (char)*p;
    }
    to[n] = '\0';
}

bcam_status bcam_fail(bcam_error *err, bcam_status code, const char *format, ...)
{
    if (!err)
        return code;
    char text[sizeof err->message];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    err->code = code;
    make_printable(text, err->message, sizeof err->message);
    return code;
}

bcam_status bcam_fail_memory(bcam_error *err, size_t bytes, const char *what)
{
    return bcam_fail(err, BCAM_E_MEMORY, "out of memory: %zu bytes for %s could not be had", bytes, what);
}

/* Levenshtein's distance over at most 63 characters, case ignored. */
static int edit_distance(const char *a, const char *b)
{
    int row[64];
    int nb = (int)strnlen(b, 63);
    for (int j = 0; j <= nb; j++)
        row[j] = j;
    for (int i = 1; a[i - 1] && i < 64; i++) {
        int diagonal = row[0];
        row[0] = i;
        for (int j = 1; j <= nb; j++) {
            int above = row[j];
            int best = diagonal + (tolower((unsigned char)a[i - 1]) != tolower((unsigned char)b[j - 1]));
            if (above + 1 < best)
                best = above + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            row[j] = best;
            diagonal = above;
        }
    }
    return row[nb];
}

/* Small is near. A name that holds the other one whole ("layer4" in "layer4.2.conv3") is near, too. */
static int nearness(const char *name, const char *candidate)
{
    if (strcasestr(candidate, name) || strcasestr(name, candidate))
        return 1;
    int distance = edit_distance(name, candidate);
    return distance * 3 <= (int)strlen(name) + 3 ? distance + 1 : -1;
}

void bcam_nearest(const char *name, const char *const *candidates, size_t count, char *out, size_t size)
{
    enum { MOST = 3 };
    size_t best[MOST];
    int score[MOST], found = 0;
    for (size_t i = 0; i < count; i++) {
        int s = nearness(name, candidates[i]);
        if (s < 0)
            continue;
        int at = found;
        while (at > 0 && score[at - 1] > s)
            at--;
        if (at >= MOST)
            continue;
        if (found < MOST)
            found++;
        for (int j = found - 1; j > at; j--) {
            best[j] = best[j - 1];
            score[j] = score[j - 1];
        }
        best[at] = i;
        score[at] = s;
    }
    size_t used = 0;
    out[0] = '\0';
    for (int i = 0; i < found && used < size; i++) {
        const char *between = i == 0 ? "" : i == found - 1 ? " or " : ", ";
        used += (size_t)snprintf(out + used, size - used, "%s'%s'", between, candidates[best[i]]);
    }
}
