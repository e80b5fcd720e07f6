/* papers.h - what is installed beside the command, written from the table of commands. */
#ifndef BCAM_CLI_PAPERS_H
#define BCAM_CLI_PAPERS_H

#include <stdio.h>

#include "cli.h"

/** `batchcam help --man`: roff. */
void cli_help_man(FILE *file, const cli_command *const *commands, size_t count);
/** `batchcam help --bash`: a completion script. */
void cli_help_bash(FILE *file, const cli_command *const *commands, size_t count);

#endif
