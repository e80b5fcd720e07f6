/* commands.c - the table of commands, one row each, and the command that lists it: help, which therefore stands here. Nothing below knows it. */
#include <stdio.h>
#include <string.h>

#include "commands.h"
#include "help.h"
#include "message.h"
#include "options.h"
#include "papers.h"

static const cli_command help_command;

static const cli_command *const commands[] = {
    &cli_cmd_run, &cli_cmd_inspect, &cli_cmd_bench, &cli_cmd_selftest, &help_command, &cli_cmd_version,
};

static const cli_command *find(const char *name)
{
    for (size_t i = 0; i < CLI_COUNT(commands); i++)
        if (!strcmp(commands[i]->name, name))
            return commands[i];
    return NULL;
}

static int unknown_command(const char *word)
{
    const char *names[CLI_COUNT(commands)];
    for (size_t i = 0; i < CLI_COUNT(commands); i++)
        names[i] = commands[i]->name;
    cli_unknown("command", word, names, CLI_COUNT(names));
    fprintf(stderr, "Try 'batchcam help'.\n");
    return CLI_USAGE;
}

/* ---- help ---- */

typedef struct help_settings {
    bool man, bash;
} help_settings;

static const cli_option help_options[] = {
    {0, "man", NULL, NULL, "print the manual page (roff)", NULL, NULL, cli_set_flag, offsetof(help_settings, man)},
    {0, "bash", NULL, NULL, "print the completion script for bash", NULL, NULL, cli_set_flag,
     offsetof(help_settings, bash)},
};

static int run_help(int argc, char **argv)
{
    help_settings settings = {0};
    int operands = 0, status = CLI_DONE;
    if (!cli_parse(&help_command, argc, argv, &settings, &operands, &status))
        return status;
    if (settings.man) {
        cli_help_man(stdout, commands, CLI_COUNT(commands));
    } else if (settings.bash) {
        cli_help_bash(stdout, commands, CLI_COUNT(commands));
    } else if (operands < argc) {
        const cli_command *command = find(argv[operands]);
        if (!command)
            return unknown_command(argv[operands]);
        cli_help_long(stdout, command);
    } else {
        cli_help_all(stdout, commands, CLI_COUNT(commands));
    }
    return CLI_DONE;
}

static const cli_command help_command = {
    .name = "help",
    .usage = "[COMMAND]",
    .brief = "List the commands, or explain one",
    .teach = "Without a command, lists them. 'batchcam help run' is 'batchcam run --help'.",
    .options = help_options,
    .option_count = CLI_COUNT(help_options),
    .run = run_help,
};

/* ---- from argv to a row ---- */

int cli_dispatch(int argc, char **argv)
{
    if (argc < 2) {
        cli_help_all(stderr, commands, CLI_COUNT(commands));
        return CLI_USAGE;
    }
    const char *word = argv[1];
    if (!strcmp(word, "--help") || !strcmp(word, "-h"))
        word = "help";
    else if (!strcmp(word, "--version"))
        word = "version";
    const cli_command *command = find(word);
    return command ? command->run(argc - 1, argv + 1) : unknown_command(word);
}
