/* options.c - from a table of options to a parser. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "help.h"
#include "message.h"
#include "options.h"

#define MAX_OPTIONS 48
#define LONG_BASE 256 /* getopt's value of the option in row i is LONG_BASE + i */

/* ---- setters ---- */

bool cli_set_flag(const cli_option *option, void *field, const char *value, char *why, size_t size)
{
    (void)option, (void)value, (void)why, (void)size;
    *(bool *)field = true;
    return true;
}

bool cli_set_text(const cli_option *option, void *field, const char *value, char *why, size_t size)
{
    if (!*value) {
        snprintf(why, size, "--%s needs a %s that is not empty", option->name, option->argument);
        return false;
    }
    *(const char **)field = value;
    return true;
}

static bool list_add(cli_list *list, const char *word, size_t length)
{
    char **words = realloc(list->words, ((size_t)list->count + 1) * sizeof *words);
    if (words)
        list->words = words;
    char *copy = words ? strndup(word, length) : NULL;
    if (!copy)
        return false;
    list->words[list->count++] = copy;
    return true;
}

bool cli_set_list(const cli_option *option, void *field, const char *value, char *why, size_t size)
{
    cli_list *list = field;
    size_t room = strlen(value) + 1, length = 0;
    char *word = malloc(room);
    bool good = word != NULL;
    if (!good)
        snprintf(why, size, "out of memory");
    for (const char *p = value; good; p++) {
        if (p[0] == '\\' && p[1] == ',') {
            word[length++] = *++p;
        } else if (*p != ',' && *p) {
            word[length++] = *p;
        } else {
            good = length > 0;
            if (!good)
                snprintf(why, size, "--%s '%s' has an empty part", option->name, value);
            else if (!(good = list_add(list, word, length)))
                snprintf(why, size, "out of memory");
            length = 0;
            if (!*p)
                break;
        }
    }
    free(word);
    return good;
}

void cli_list_fini(cli_list *list)
{
    for (int i = 0; i < list->count; i++)
        free(list->words[i]);
    free(list->words);
    *list = (cli_list){0};
}

static bool read_whole(const char *value, uint64_t max, uint64_t *out)
{
    if (*value < '0' || *value > '9')
        return false;
    char *end = NULL;
    errno = 0;
    *out = strtoumax(value, &end, 10);
    return !errno && !*end && *out <= max;
}

static bool read_from_one(const cli_option *option, const char *value, uint64_t max, uint64_t *out, char *why,
                          size_t size)
{
    if (read_whole(value, max, out) && *out >= 1)
        return true;
    snprintf(why, size, "--%s takes a whole number from 1 on, not '%s'", option->name, value);
    return false;
}

bool cli_set_count(const cli_option *option, void *field, const char *value, char *why, size_t size)
{
    uint64_t number = 0;
    if (!read_from_one(option, value, INT64_MAX, &number, why, size))
        return false;
    *(int64_t *)field = (int64_t)number;
    return true;
}

bool cli_set_int(const cli_option *option, void *field, const char *value, char *why, size_t size)
{
    uint64_t number = 0;
    if (!read_from_one(option, value, INT_MAX, &number, why, size))
        return false;
    *(int *)field = (int)number;
    return true;
}

bool cli_set_seed(const cli_option *option, void *field, const char *value, char *why, size_t size)
{
    if (read_whole(value, UINT64_MAX, field))
        return true;
    snprintf(why, size, "--%s takes a whole number, not '%s'", option->name, value);
    return false;
}

bool cli_set_choice(const cli_option *option, void *field, const char *value, char *why, size_t size)
{
    int index = 0;
    size_t length = strlen(value);
    for (const char *p = option->choices; *p; index++) {
        size_t word = strcspn(p, " ");
        if (word == length && !memcmp(p, value, word)) {
            *(int *)field = index;
            return true;
        }
        p += word + (p[word] == ' ');
    }
    snprintf(why, size, "--%s does not know '%s', only: %s", option->name, value, option->choices);
    return false;
}

/* ---- the parser ---- */

typedef struct tables {
    char letters[2 * MAX_OPTIONS + 4];
    struct option names[MAX_OPTIONS + 2];
} tables;

static void make_tables(const cli_command *command, tables *out)
{
    size_t at = 0, count = 0;
    out->letters[at++] = ':'; /* a missing argument is told apart from an unknown option */
    out->letters[at++] = cli_common_options[CLI_COMMON_SHORT].letter;
    for (size_t i = 0; i < command->option_count && i < MAX_OPTIONS; i++) {
        const cli_option *row = &command->options[i];
        if (row->letter) {
            out->letters[at++] = row->letter;
            if (row->argument)
                out->letters[at++] = ':';
        }
        out->names[count++] =
            (struct option){row->name, row->argument ? required_argument : no_argument, NULL, LONG_BASE + (int)i};
    }
    out->names[count++] =
        (struct option){cli_common_options[CLI_COMMON_LONG].name, no_argument, NULL, LONG_BASE + MAX_OPTIONS};
    out->names[count] = (struct option){0};
    out->letters[at] = 0;
}

static const cli_option *find_row(const cli_command *command, int value)
{
    for (size_t i = 0; i < command->option_count; i++)
        if (value == LONG_BASE + (int)i || (value < LONG_BASE && value == command->options[i].letter))
            return &command->options[i];
    return NULL;
}

/* The beginning of several options: says which. */
static bool report_ambiguous(const cli_command *command, const char *given)
{
    char text[512];
    size_t at = 0, matches = 0;
    for (size_t i = 0; i < command->option_count; i++)
        if (!strncmp(command->options[i].name, given + 2, strlen(given + 2)) && at < sizeof text - 64)
            at += (size_t)snprintf(text + at, sizeof text - at, "%s'--%s'", matches++ ? " or " : "",
                                   command->options[i].name);
    if (matches > 1)
        cli_message("'%s' could be %s", given, text);
    return matches > 1;
}

static void report_unknown(const cli_command *command, const char *given)
{
    const char *known[MAX_OPTIONS + 1];
    char text[MAX_OPTIONS + 1][40];
    size_t count = 0;
    for (; count < command->option_count; count++)
        snprintf(text[count], sizeof text[count], "--%s", command->options[count].name);
    snprintf(text[count], sizeof text[count], "--%s", cli_common_options[CLI_COMMON_LONG].name);
    for (size_t i = 0; i <= count; i++)
        known[i] = text[i];
    cli_unknown("option", given, known, count + 1);
}

/* An option that getopt did not take: unknown, an ambiguous beginning, or a flag given a value. */
static int report_refused(const cli_command *command, const char *word)
{
    const cli_option *row = find_row(command, optopt);
    char given[128];
    snprintf(given, sizeof given, "%.*s", (int)strcspn(word, "="), word);
    if (optopt >= LONG_BASE) /* getopt knows the option: what it refuses is the value */
        cli_message("--%s takes no value", row ? row->name : cli_common_options[CLI_COMMON_LONG].name);
    else if (strncmp(given, "--", 2) != 0)
        cli_message("unknown option '-%c'", optopt);
    else if (!report_ambiguous(command, given))
        report_unknown(command, given);
    return cli_usage_hint(command);
}

static int report_missing(const cli_command *command)
{
    const cli_option *row = find_row(command, optopt);
    if (row)
        cli_message("--%s needs a value: --%s %s", row->name, row->name, row->argument);
    return cli_usage_hint(command);
}

bool cli_parse(const cli_command *command, int argc, char **argv, void *settings, int *operands, int *exit_status)
{
    tables t;
    make_tables(command, &t);
    opterr = 0;
    optind = 0; /* glibc: start over, at argv[1] */
    for (int value; (value = getopt_long(argc, argv, t.letters, t.names, NULL)) != -1;) {
        if (value == cli_common_options[CLI_COMMON_SHORT].letter || value == LONG_BASE + MAX_OPTIONS) {
            if (value == LONG_BASE + MAX_OPTIONS)
                cli_help_long(stdout, command);
            else
                cli_help_short(stdout, command);
            *exit_status = CLI_DONE;
            return false;
        }
        if (value == '?' || value == ':') {
            *exit_status = value == '?' ? report_refused(command, argv[optind - 1]) : report_missing(command);
            return false;
        }
        const cli_option *row = find_row(command, value);
        char why[512];
        if (!row->set(row, (char *)settings + row->offset, optarg, why, sizeof why)) {
            cli_message("%s", why);
            *exit_status = cli_usage_hint(command);
            return false;
        }
    }
    *operands = optind;
    return true;
}
