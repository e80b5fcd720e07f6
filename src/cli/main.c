/* main.c - batchcam, the command: one row per subcommand. */
#include <locale.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "help.h"
#include "json.h"

static const cli_command *const commands[] = {
    &cli_cmd_run, &cli_cmd_inspect, &cli_cmd_selftest, &cli_cmd_help, &cli_cmd_version,
};

const cli_command *const *cli_commands(size_t *count)
{
    *count = CLI_COUNT(commands);
    return commands;
}

const cli_command *cli_command_find(const char *name)
{
    for (size_t i = 0; i < CLI_COUNT(commands); i++)
        if (!strcmp(commands[i]->name, name))
            return commands[i];
    return NULL;
}

void cli_message(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fflush(stdout); /* so that messages and results stand in the order in which they were made */
    fputs("batchcam: ", stderr);
    vfprintf(stderr, format, args);
    putc('\n', stderr);
    va_end(args);
}

int cli_unknown(const char *what, const char *word, const char *const *known, size_t count)
{
    const char *nearest = NULL;
    size_t best = strlen(word) / 3 + 2; /* farther than this is no misspelling */
    for (size_t i = 0; i < count; i++) {
        size_t distance = cli_distance(word, known[i]);
        if (distance < best) {
            best = distance;
            nearest = known[i];
        }
    }
    if (nearest)
        cli_message("unknown %s '%s'; did you mean '%s'?", what, word, nearest);
    else
        cli_message("unknown %s '%s'", what, word);
    return CLI_USAGE;
}

int cli_usage_hint(const cli_command *command)
{
    fprintf(stderr, "Try 'batchcam %s -h'.\n", command->name);
    return CLI_USAGE;
}

int cli_exit_status(bcam_status status)
{
    switch (status) {
    case BCAM_OK:
        return CLI_DONE;
    case BCAM_E_ARGUMENT:
        return CLI_USAGE;
    case BCAM_E_STOPPED:
        return CLI_AGAIN;
    default:
        return CLI_FAILED;
    }
}

int cli_failed(bcam_status status, const bcam_error *err, bool json, int exit_status)
{
#define STATUS_NAME(name, value, text) [value] = #name,
    static const char *const names[] = {BCAM_STATUS_LIST(STATUS_NAME)};
#undef STATUS_NAME
    const char *text = *err->message ? err->message : bcam_status_text(status);
    cli_message("%s", text);
    if (json) {
        cli_json line;
        cli_json_begin(&line, stdout, "error");
        cli_json_text(&line, "code", (size_t)status < CLI_COUNT(names) ? names[status] : "?");
        cli_json_text(&line, "message", text);
        cli_json_int(&line, "exit_status", exit_status);
        cli_json_end(&line);
    }
    return exit_status;
}

/* ---- help and version ---- */

typedef struct help_settings {
    bool man, bash;
} help_settings;

static const cli_option help_options[] = {
    {0, "man", NULL, NULL, "print the manual page (roff)", NULL, NULL, cli_set_flag, offsetof(help_settings, man)},
    {0, "bash", NULL, NULL, "print the completion script for bash", NULL, NULL, cli_set_flag,
     offsetof(help_settings, bash)},
};

static int unknown_command(const char *word)
{
    const char *names[CLI_COUNT(commands)];
    for (size_t i = 0; i < CLI_COUNT(commands); i++)
        names[i] = commands[i]->name;
    cli_unknown("command", word, names, CLI_COUNT(names));
    fprintf(stderr, "Try 'batchcam help'.\n");
    return CLI_USAGE;
}

static int run_help(int argc, char **argv)
{
    help_settings settings = {0};
    int operands = 0, status = CLI_DONE;
    if (!cli_parse(&cli_cmd_help, argc, argv, &settings, &operands, &status))
        return status;
    if (settings.man) {
        cli_help_man(stdout);
    } else if (settings.bash) {
        cli_help_bash(stdout);
    } else if (operands < argc) {
        const cli_command *command = cli_command_find(argv[operands]);
        if (!command)
            return unknown_command(argv[operands]);
        cli_help_long(stdout, command);
    } else {
        cli_help_all(stdout);
    }
    return CLI_DONE;
}

const cli_command cli_cmd_help = {
    .name = "help",
    .usage = "[COMMAND]",
    .brief = "List the commands, or explain one",
    .teach = "Without a command, lists them. 'batchcam help run' is 'batchcam run --help'.",
    .options = help_options,
    .option_count = CLI_COUNT(help_options),
    .run = run_help,
};

static int run_version(int argc, char **argv)
{
    int operands = 0, status = CLI_DONE;
    if (!cli_parse(&cli_cmd_version, argc, argv, NULL, &operands, &status))
        return status;
    if (operands < argc) {
        cli_message("version takes no '%s'", argv[operands]);
        return cli_usage_hint(&cli_cmd_version);
    }
    printf("batchcam %s\n", bcam_version());
    return CLI_DONE;
}

const cli_command cli_cmd_version = {
    .name = "version",
    .usage = "",
    .brief = "Print the version",
    .teach = "Prints 'batchcam' and the version of the library, as 'batchcam --version' does.",
    .run = run_version,
};

/* ---- */

static int dispatch(int argc, char **argv)
{
    if (argc < 2) {
        cli_help_all(stderr);
        return CLI_USAGE;
    }
    const char *word = argv[1];
    if (!strcmp(word, "--help") || !strcmp(word, "-h"))
        word = "help";
    else if (!strcmp(word, "--version"))
        word = "version";
    const cli_command *command = cli_command_find(word);
    return command ? command->run(argc - 1, argv + 1) : unknown_command(word);
}

int main(int argc, char **argv)
{
    setlocale(LC_CTYPE, ""); /* what the terminal can show; numbers keep their decimal point */
    int status = dispatch(argc, argv);
    if ((fflush(stdout) || ferror(stdout)) && status == CLI_DONE) {
        cli_message("could not write to standard output");
        status = CLI_FAILED;
    }
    return status;
}
