/* cli.h - what the files of the command share. The command knows the library by batchcam.h alone. */
#ifndef BCAM_CLI_H
#define BCAM_CLI_H

#include "batchcam.h"

#include "options.h"

enum cli_exit {
    CLI_DONE = 0,
    CLI_FAILED = 1, /* the job could not be done */
    CLI_USAGE = 2,  /* wrong usage */
    CLI_AGAIN = 75  /* stopped, but worth running again (sysexits' EX_TEMPFAIL) */
};

/** One command: a row of main.c's table. `run` gets argv with the command's name in argv[0] and returns the exit status. */
typedef struct cli_command {
    const char *name;
    const char *usage; /* its operands */
    const char *brief; /* one line, no full stop */
    const char *teach; /* paragraphs for --help and the manual; lines that begin with a space stay as they are */
    const char *const *examples; /* pairs "what it does", "the command line"; NULL ends */
    const cli_option *options;
    size_t option_count;
    int (*run)(int argc, char **argv);
} cli_command;

extern const cli_command cli_cmd_run, cli_cmd_inspect, cli_cmd_selftest, cli_cmd_help, cli_cmd_version;

/** All commands, in the order in which help lists them. */
const cli_command *const *cli_commands(size_t *count);
const cli_command *cli_command_find(const char *name); /* NULL: none */

/** Prints "batchcam: …" to stderr. */
void cli_message(const char *format, ...) BCAM_PRINTF(1, 2);
/** Reports a word that is not known: "batchcam: unknown command 'rnu'; did you mean 'run'?". Returns CLI_USAGE. */
int cli_unknown(const char *what, const char *word, const char *const *known, size_t count);
/** The exit status for what a call of the library returned. */
int cli_exit_status(bcam_status status);
/** Reports a failed call of the library, on stdout too where JSON lines are wanted. Returns `exit_status`. */
int cli_failed(bcam_status status, const bcam_error *err, bool json, int exit_status);
/** Says where help is after wrong usage. Returns CLI_USAGE. */
int cli_usage_hint(const cli_command *command);

#endif
