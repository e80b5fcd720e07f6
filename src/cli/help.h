/* help.h - everything that is written about the commands from their tables. */
#ifndef BCAM_CLI_HELP_H
#define BCAM_CLI_HELP_H

#include <stdio.h>

struct cli_command;

void cli_help_all(FILE *file);                                      /* `batchcam help`: the commands */
void cli_help_short(FILE *file, const struct cli_command *command); /* `batchcam run -h` */
void cli_help_long(FILE *file, const struct cli_command *command);  /* `batchcam run --help` */
void cli_help_man(FILE *file);                                      /* `batchcam help --man`: roff */
void cli_help_bash(FILE *file);                                     /* `batchcam help --bash`: a completion script */

extern const char cli_about[];                   /* what batchcam is, one sentence */
extern const char *const cli_exit_statuses[][2]; /* status, meaning; NULL ends */

#endif
