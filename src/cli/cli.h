/* cli.h - the rows of commands and options, which all files here know: options stand in one table per command, and parser, both helps, manual and
 * completion are made from it. The command knows the library by batchcam.h alone. */
#ifndef BCAM_CLI_H
#define BCAM_CLI_H

#include <stdbool.h>
#include <stddef.h>

#include "batchcam.h"

#define CLI_COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum cli_exit {
    CLI_DONE = 0,
    CLI_FAILED = 1, /* the job could not be done */
    CLI_USAGE = 2,  /* wrong usage */
    CLI_AGAIN = 75  /* stopped, but worth running again (sysexits' EX_TEMPFAIL) */
};

typedef struct cli_option cli_option;

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

/** One command: a row of the table in commands.c. `run` gets argv with the command's name in argv[0] and returns the exit status. */
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

extern const cli_command cli_cmd_run, cli_cmd_inspect, cli_cmd_bench, cli_cmd_selftest, cli_cmd_version;

#endif
