/* cmd_inspect.c - what batchcam makes of a model. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "json.h"
#include "message.h"
#include "options.h"

typedef struct inspect_settings {
    const char *output;
    bool json;
} inspect_settings;

static const cli_option options[] = {
    {0, "output", "NAME", "the first that holds scores", "which of the model's outputs is explained", NULL, NULL,
     cli_set_text, offsetof(inspect_settings, output)},
    {0, "json", NULL, NULL, "print it as one JSON line", NULL, NULL, cli_set_flag, offsetof(inspect_settings, json)},
};

static const char *activation_name(bcam_activation activation)
{
    switch (activation) {
    case BCAM_ACTIVATION_SOFTMAX:
        return "softmax";
    case BCAM_ACTIVATION_SIGMOID:
        return "sigmoid";
    default:
        return "none";
    }
}

static const char *batch_text(const bcam_model_info *m)
{
    return m->batch_fixed ? "fixed" : m->batch_lifted ? "free, lifted from 1" : "free";
}

/* ---- as a table ---- */

static void print_shapes(const bcam_model_info *m)
{
    if (m->nhwc)
        printf("input       %s (N,%d,%d,%d)\n", m->input, m->height, m->width, m->channels);
    else
        printf("input       %s (N,%d,%d,%d)\n", m->input, m->channels, m->height, m->width);
    printf("output      %s (N,%d), final activation: %s%s\n", m->output, m->one_unit ? 1 : m->class_count,
           activation_name(m->activation), m->one_unit ? "; two classes: 1 is this number, 0 its negation" : "");
    printf("batch       %s%s%s\n", batch_text(m), m->batch_note && *m->batch_note ? ": " : "",
           m->batch_note ? m->batch_note : "");
}

static void print_model(const bcam_model_info *m)
{
    printf("model       %s\n", m->path);
    printf("size        %.1f MB, %.2f million parameters, %.2f GFLOP forward per photo\n", (double)m->bytes / 1e6,
           (double)m->parameters / 1e6, m->forward_gflop);
    printf("made by     %s, operator set %d\n", m->producer && *m->producer ? m->producer : "(not said)", m->opset);
    printf("sha256      %s\n", m->sha256);
    if (m->class_count) /* else it is not supported, and no shapes are known */
        print_shapes(m);
}

/* Several, so that one has to be chosen. */
static void print_outputs(const bcam_inspection *inspection)
{
    const bcam_output_info *o;
    if (!bcam_inspection_output(inspection, 1))
        return;
    printf("\nOutputs (any of these names goes to --output; * is explained)\n");
    for (int i = 0; (o = bcam_inspection_output(inspection, i)); i++)
        printf("%c %s%s%s%s%s\n", o->explained ? '*' : ' ', o->name, *o->shape ? " " : "", o->shape,
               *o->type ? " " : "", o->type);
}

static void print_operators(const bcam_inspection *inspection)
{
    printf("\nOperators\n");
    const bcam_operator_info *o;
    for (int i = 0; (o = bcam_inspection_operator(inspection, i)); i++)
        printf("  %5d  %s%s\n", o->count, o->type, o->supported ? "" : "  (not supported)");
    const bcam_unsupported_info *u;
    for (int i = 0; (u = bcam_inspection_unsupported(inspection, i)); i++)
        printf("%s  %s (%s-%d): %s\n", i ? "" : "\nNot supported, so this model cannot be explained\n", u->node,
               u->type, u->opset, u->reason);
}

static void layer_shape(const bcam_candidate_info *l, char *out, size_t size)
{
    snprintf(out, size, "%dx%dx%d", l->channels, l->height, l->width);
}

static int widest(int width, const char *text)
{
    int length = (int)strlen(text);
    return length > width ? length : width;
}

static bool has_note(const bcam_candidate_info *l)
{
    return l->note && *l->note;
}

/* Many layers have the same note: it is printed once, below the table, under the number of the first layer that has it. */
static int note_number(const bcam_inspection *inspection, const char *note)
{
    int number = 0;
    const bcam_candidate_info *l, *before;
    for (int i = 0; (l = bcam_inspection_layer(inspection, i)); i++) {
        bool first = has_note(l);
        for (int j = 0; first && j < i; j++) {
            before = bcam_inspection_layer(inspection, j);
            first = !has_note(before) || strcmp(before->note, l->note) != 0;
        }
        number += first;
        if (first && !strcmp(l->note, note))
            break;
    }
    return number;
}

static void print_notes(const bcam_inspection *inspection)
{
    int printed = 0;
    const bcam_candidate_info *l;
    for (int i = 0; (l = bcam_inspection_layer(inspection, i)); i++)
        if (has_note(l) && note_number(inspection, l->note) > printed) {
            printed++;
            printf("%s  [%d] %s\n", printed > 1 ? "" : "\n", printed, l->note);
        }
}

static void print_layers(const bcam_inspection *inspection)
{
    int name = 4, type = 2, shape_width = 5;
    char shape[48];
    const bcam_candidate_info *l;
    for (int i = 0; (l = bcam_inspection_layer(inspection, i)); i++) {
        name = widest(name, l->name);
        type = widest(type, l->type);
        layer_shape(l, shape, sizeof shape);
        shape_width = widest(shape_width, shape);
    }
    if (!bcam_inspection_layer(inspection, 0)) {
        printf("\nNo layer can be a target.\n");
        return;
    }
    printf("\nLayers (any of these names goes to --layer; * is the default)\n");
    printf("  %-*s  %-*s  %-*s  %-8s  %s\n", name, "name", type, "by", shape_width, "CxHxW", "gradient", "GFLOP back");
    for (int i = 0; (l = bcam_inspection_layer(inspection, i)); i++) {
        layer_shape(l, shape, sizeof shape);
        printf("%c %-*s  %-*s  %-*s  %-8s  %.3f", l->is_default ? '*' : ' ', name, l->name, type, l->type, shape_width,
               shape, l->constant_gradient ? "constant" : "computed", l->backward_gflop);
        if (has_note(l))
            printf("  [%d]", note_number(inspection, l->note));
        putchar('\n');
    }
    print_notes(inspection);
}

/* ---- as JSON ---- */

static void json_model(cli_json *json, const bcam_model_info *m)
{
    cli_json_text(json, "path", m->path);
    cli_json_int(json, "bytes", m->bytes);
    cli_json_text(json, "sha256", m->sha256);
    cli_json_text(json, "producer", m->producer);
    cli_json_int(json, "opset", m->opset);
    cli_json_text(json, "input", m->input);
    cli_json_text(json, "output", m->output);
    cli_json_text(json, "logits", m->logits);
    cli_json_int(json, "height", m->height);
    cli_json_int(json, "width", m->width);
    cli_json_int(json, "channels", m->channels);
    cli_json_int(json, "class_count", m->class_count);
    cli_json_bool(json, "one_unit", m->one_unit);
    cli_json_bool(json, "nhwc", m->nhwc);
    cli_json_bool(json, "batch_lifted", m->batch_lifted);
    cli_json_bool(json, "batch_fixed", m->batch_fixed);
    cli_json_text(json, "batch_note", m->batch_note);
    cli_json_text(json, "activation", activation_name(m->activation));
    cli_json_int(json, "parameters", m->parameters);
    cli_json_real(json, "forward_gflop", m->forward_gflop);
}

static void json_outputs(cli_json *json, const bcam_inspection *inspection)
{
    cli_json_array(json, "outputs");
    const bcam_output_info *o;
    for (int i = 0; (o = bcam_inspection_output(inspection, i)); i++) {
        cli_json_object(json);
        cli_json_text(json, "name", o->name);
        cli_json_text(json, "shape", o->shape);
        cli_json_text(json, "type", o->type);
        cli_json_bool(json, "explained", o->explained);
        cli_json_close(json);
    }
    cli_json_close(json);
}

static void json_operators(cli_json *json, const bcam_inspection *inspection)
{
    cli_json_array(json, "operators");
    const bcam_operator_info *o;
    for (int i = 0; (o = bcam_inspection_operator(inspection, i)); i++) {
        cli_json_object(json);
        cli_json_text(json, "type", o->type);
        cli_json_int(json, "count", o->count);
        cli_json_bool(json, "supported", o->supported);
        cli_json_close(json);
    }
    cli_json_close(json);
    cli_json_array(json, "unsupported");
    const bcam_unsupported_info *u;
    for (int i = 0; (u = bcam_inspection_unsupported(inspection, i)); i++) {
        cli_json_object(json);
        cli_json_text(json, "node", u->node);
        cli_json_text(json, "type", u->type);
        cli_json_int(json, "opset", u->opset);
        cli_json_text(json, "reason", u->reason);
        cli_json_close(json);
    }
    cli_json_close(json);
}

static void json_layers(cli_json *json, const bcam_inspection *inspection)
{
    cli_json_array(json, "layers");
    const bcam_candidate_info *l;
    for (int i = 0; (l = bcam_inspection_layer(inspection, i)); i++) {
        cli_json_object(json);
        cli_json_text(json, "name", l->name);
        cli_json_text(json, "tensor", l->tensor);
        cli_json_text(json, "type", l->type);
        cli_json_int(json, "channels", l->channels);
        cli_json_int(json, "height", l->height);
        cli_json_int(json, "width", l->width);
        cli_json_bool(json, "default", l->is_default);
        cli_json_bool(json, "constant_gradient", l->constant_gradient);
        cli_json_real(json, "backward_gflop", l->backward_gflop);
        cli_json_text(json, "note", l->note);
        cli_json_close(json);
    }
    cli_json_close(json);
}

static void print_json(const bcam_inspection *inspection)
{
    cli_json json;
    cli_json_begin(&json, stdout, "summary");
    json_model(&json, bcam_inspection_model(inspection));
    json_outputs(&json, inspection);
    json_operators(&json, inspection);
    json_layers(&json, inspection);
    cli_json_end(&json);
}

static int run(int argc, char **argv)
{
    inspect_settings settings = {0};
    int operands = 0, exit_status = CLI_DONE;
    if (!cli_parse(&cli_cmd_inspect, argc, argv, &settings, &operands, &exit_status))
        return exit_status;
    if (argc - operands != 1) {
        cli_message(operands == argc ? "no model is given" : "one model at a time");
        return cli_usage_hint(&cli_cmd_inspect);
    }
    bcam_inspection *inspection = NULL;
    bcam_error err = {0};
    bcam_status status = bcam_inspect_output(argv[operands], settings.output, &inspection, &err);
    if (status != BCAM_OK)
        return cli_failed(status, &err, settings.json, cli_exit_status(status));
    if (settings.json) {
        print_json(inspection);
    } else {
        print_model(bcam_inspection_model(inspection));
        print_outputs(inspection);
        print_operators(inspection);
        print_layers(inspection);
    }
    bcam_inspection_close(&inspection);
    return CLI_DONE;
}

static const char *const examples[] = {
    "Which layers can be explained, and which is the default",
    "batchcam inspect resnet50.onnx",
    NULL,
};

const cli_command cli_cmd_inspect = {
    .name = "inspect",
    .usage = "MODEL",
    .brief = "Show a model's operators, its layers, and which layer is the default",
    .teach =
        "Reads the model without computing anything. A layer whose gradient is constant costs nothing backward: it does not depend on the "
        "photo and is computed once. GFLOP back is what the backward pass costs per photo and class, from the score to that layer. A model "
        "with operators that are not supported is listed all the same, with the nodes that stand in the way.",
    .examples = examples,
    .options = options,
    .option_count = CLI_COUNT(options),
    .run = run,
};
