/* options.h - options stand in one table per command; parser, both helps, manual and completion are all made from it. */
#ifndef BCAM_CLI_OPTIONS_H
#define BCAM_CLI_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

#define CLI_COUNT(array) (sizeof(array) / sizeof((array)[0]))

typedef struct cli_option cli_option;
struct cli_command;

/** Stores an option's value (NULL for one that takes none) into its field. False: `why` says why not. */
typedef bool (*cli_setter)(const cli_option *option, void *field, const char *value, char *why, size_t size);

struct cli_option {
    char letter;          /* 0: none */
    const char *name;     /* "output" */
    const char *argument; /* "DIR"; NULL: takes none. FILE and DIR are completed as such */
    const char *fallback; /* what holds without it, for help; NULL: nothing to say */
    const char *brief;    /* -h */
    const char *teach;    /* --help and the manual, after `brief`; NULL: brief says it all */
    const char *choices;  /* words with spaces between, for completion and cli_set_choice; NULL: anything */
    cli_setter set;
    size_t offset; /* of its field in the command's settings */
};

/** Words from a repeatable option: each use adds one or several with commas between ("\," is a comma within a word). */
typedef struct cli_list {
    char **words;
    int count;
} cli_list;

void cli_list_fini(cli_list *list);

bool cli_set_flag(const cli_option *option, void *field, const char *value, char *why, size_t size); /* bool */
bool cli_set_text(const cli_option *option, void *field, const char *value, char *why, size_t size); /* const char * */
bool cli_set_list(const cli_option *option, void *field, const char *value, char *why, size_t size); /* cli_list */
bool cli_set_count(const cli_option *option, void *field, const char *value, char *why,
                   size_t size); /* int64_t from 1 on */
bool cli_set_int(const cli_option *option, void *field, const char *value, char *why, size_t size);  /* int from 1 on */
bool cli_set_seed(const cli_option *option, void *field, const char *value, char *why, size_t size); /* uint64_t */
bool cli_set_choice(const cli_option *option, void *field, const char *value, char *why,
                    size_t size); /* int: index in choices */

/** Reads the options of `argv` into `settings`; operands then stand in argv[*operands …]. Returns true to go on; false: help was asked for
 *  and given, or the usage was wrong and that was said, and *exit_status is what to return. */
bool cli_parse(const struct cli_command *command, int argc, char **argv, void *settings, int *operands,
               int *exit_status);

/** The options that every command has (-h, --help), for help and completion. */
extern const cli_option cli_common_options[2];

/** How far apart two words are: letters inserted, removed, changed or swapped. */
size_t cli_distance(const char *a, const char *b);

#endif
