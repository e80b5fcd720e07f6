/* options.h - the parser: from a command's table of options to its settings. */
#ifndef BCAM_CLI_OPTIONS_H
#define BCAM_CLI_OPTIONS_H

#include "cli.h"

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
bool cli_parse(const cli_command *command, int argc, char **argv, void *settings, int *operands, int *exit_status);

#endif
