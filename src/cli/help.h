/* help.h - what is written about commands from their rows. */
#ifndef BCAM_CLI_HELP_H
#define BCAM_CLI_HELP_H

#include <stdio.h>

#include "cli.h"

void cli_help_all(FILE *file, const cli_command *const *commands, size_t count); /* `batchcam help`: the commands */
void cli_help_short(FILE *file, const cli_command *command);                     /* `batchcam run -h` */
void cli_help_long(FILE *file, const cli_command *command);                      /* `batchcam run --help` */

/** The options that every command has: the two that ask for help. */
enum { CLI_COMMON_SHORT, CLI_COMMON_LONG };
extern const cli_option cli_common_options[2];

extern const char cli_about[];                   /* what batchcam is, one sentence */
extern const char *const cli_exit_statuses[][2]; /* status, meaning; NULL ends */

#endif
