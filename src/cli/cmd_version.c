/* cmd_version.c - which version this is. */
#include <stdio.h>

#include "message.h"
#include "options.h"

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
