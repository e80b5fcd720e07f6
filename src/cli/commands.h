/* commands.h - from the command line to the command that it names. */
#ifndef BCAM_CLI_COMMANDS_H
#define BCAM_CLI_COMMANDS_H

/** Runs the command that argv[1] names (--help and --version are words for it too) and returns the exit status. */
int cli_dispatch(int argc, char **argv);

#endif
