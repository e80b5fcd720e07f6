/* message.h - messages on stderr, and exit statuses. */
#ifndef BCAM_CLI_MESSAGE_H
#define BCAM_CLI_MESSAGE_H

#include "cli.h"

/** Prints "batchcam: …" to stderr. */
void cli_message(const char *format, ...) BCAM_PRINTF(1, 2);
/** Reports a word that is not known: "batchcam: unknown command 'rnu'; did you mean 'run'?". Returns CLI_USAGE. */
int cli_unknown(const char *what, const char *word, const char *const *known, size_t count);
/** Says where help is after wrong usage. Returns CLI_USAGE. */
int cli_usage_hint(const cli_command *command);

/** The exit status for what a call of the library returned. */
int cli_exit_status(bcam_status status);
/** Reports a failed call of the library, on stdout too where JSON lines are wanted. Returns `exit_status`. */
int cli_failed(bcam_status status, const bcam_error *err, bool json, int exit_status);

#endif
