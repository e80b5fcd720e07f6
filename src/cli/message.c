/* message.c - what is said to people, and the exit status that goes with it. Everybody speaks through it, so it knows no table of commands and no
 * parser. */
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "json.h"
#include "message.h"

void cli_message(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fflush(stdout); /* so that messages and results stand in the order in which they were made */
    fputs("batchcam: ", stderr);
    vfprintf(stderr, format, args);
    putc('\n', stderr);
    va_end(args);
}

/* ---- "did you mean" ---- */

/* How far apart two words are: letters inserted, removed, changed or swapped. */
static size_t distance_of(const char *a, const char *b)
{
    enum { LONGEST = 63 };
    size_t n = strlen(a), m = strlen(b);
    if (n > LONGEST || m > LONGEST)
        return SIZE_MAX;
    unsigned char rows[3][LONGEST + 1]; /* the last two rows of the table of distances, and the one being made */
    for (size_t j = 0; j <= m; j++)
        rows[0][j] = (unsigned char)j;
    for (size_t i = 1; i <= n; i++) {
        unsigned char *row = rows[i % 3], *last = rows[(i + 2) % 3], *before = rows[(i + 1) % 3];
        row[0] = (unsigned char)i;
        for (size_t j = 1; j <= m; j++) {
            unsigned best = last[j - 1] + (a[i - 1] != b[j - 1] ? 1u : 0u);
            best = best < last[j] + 1u ? best : last[j] + 1u;
            best = best < row[j - 1] + 1u ? best : row[j - 1] + 1u;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && before[j - 2] + 1u < best)
                best = before[j - 2] + 1u;
            row[j] = (unsigned char)best;
        }
    }
    return rows[n % 3][m];
}

int cli_unknown(const char *what, const char *word, const char *const *known, size_t count)
{
    const char *nearest = NULL;
    size_t best = strlen(word) / 3 + 2; /* farther than this is no misspelling */
    for (size_t i = 0; i < count; i++) {
        size_t distance = distance_of(word, known[i]);
        if (distance < best) {
            best = distance;
            nearest = known[i];
        }
    }
    if (nearest)
        cli_message("unknown %s '%s'; did you mean '%s'?", what, word, nearest);
    else
        cli_message("unknown %s '%s'", what, word);
    return CLI_USAGE;
}

int cli_usage_hint(const cli_command *command)
{
    fprintf(stderr, "Try 'batchcam %s -h'.\n", command->name);
    return CLI_USAGE;
}

/* ---- calls of the library ---- */

int cli_exit_status(bcam_status status)
{
    switch (status) {
    case BCAM_OK:
        return CLI_DONE;
    case BCAM_E_ARGUMENT:
        return CLI_USAGE;
    case BCAM_E_STOPPED:
    case BCAM_E_FULL:
    case BCAM_E_BUSY:
        return CLI_AGAIN;
    default:
        return CLI_FAILED;
    }
}

int cli_failed(bcam_status status, const bcam_error *err, bool json, int exit_status)
{
#define STATUS_NAME(name, value, text) [value] = #name,
    static const char *const names[] = {BCAM_STATUS_LIST(STATUS_NAME)};
#undef STATUS_NAME
    const char *text = *err->message ? err->message : bcam_status_text(status);
    cli_message("%s", text);
    if (json) {
        cli_json line;
        cli_json_begin(&line, stdout, "error");
        cli_json_text(&line, "code", (size_t)status < CLI_COUNT(names) ? names[status] : "?");
        cli_json_text(&line, "message", text);
        cli_json_int(&line, "exit_status", exit_status);
        cli_json_end(&line);
    }
    return exit_status;
}
