/* bench.c - clock, numbers, JSON lines and options of the programs that measure. */
#include "bench.h"

#include <getopt.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- clock and numbers ---- */

double bench_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double bench_median(double *values, size_t count)
{
    if (count == 0)
        return (double)NAN;
    qsort(values, count, sizeof *values, compare);
    return count % 2 ? values[count / 2] : 0.5 * (values[count / 2 - 1] + values[count / 2]);
}

static uint64_t next(uint64_t *state)
{
    uint64_t x = *state;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return *state = x;
}

void bench_random_bytes(void *out, size_t bytes, uint64_t *state)
{
    unsigned char *at = out;
    for (; bytes >= sizeof(uint64_t); bytes -= sizeof(uint64_t), at += sizeof(uint64_t)) {
        uint64_t word = next(state) * 0x9e3779b97f4a7c15u;
        memcpy(at, &word, sizeof word);
    }
    while (bytes-- > 0)
        *at++ = (unsigned char)(next(state) >> 24);
}

float bench_random(uint64_t *state)
{
    return (float)(int32_t)(next(state) >> 32) * 0x1p-31f;
}

/* ---- JSON ---- */

static void key_of(bench_json *json, const char *key)
{
    fprintf(json->file, "%s\"%s\": ", json->first ? "" : ", ", key);
    json->first = false;
}

void bench_json_begin(bench_json *json, FILE *file)
{
    *json = (bench_json){file, true};
    fputc('{', file);
}

void bench_json_text(bench_json *json, const char *key, const char *value)
{
    key_of(json, key);
    fputc('"', json->file);
    for (const unsigned char *c = (const unsigned char *)value; *c; c++)
        if (*c == '"' || *c == '\\')
            fprintf(json->file, "\\%c", *c);
        else if (*c < 0x20)
            fprintf(json->file, "\\u%04x", *c);
        else
            fputc(*c, json->file);
    fputc('"', json->file);
}

void bench_json_real(bench_json *json, const char *key, double value)
{
    key_of(json, key);
    if (isfinite(value))
        fprintf(json->file, "%.9g", value);
    else
        fputs("null", json->file);
}

void bench_json_end(bench_json *json)
{
    fputs("}\n", json->file);
    fflush(json->file);
}

/* ---- options ---- */

static const char usage[] =
    "Usage: bench_net MODEL.onnx [options]\n"
    "  --device NAME          auto, cpu, cuda, cuda:1 (auto)\n"
    "  --precision NAME       fp32, tf32, bf16, fp16 (the device's own)\n"
    "  --batch N              photos at once (32)\n"
    "  --layer NAME           target layer; may be given again (the default layer)\n"
    "  --classes K            classes explained per photo (1)\n"
    "  --size NAME            of the maps: input or native (input)\n"
    "  --dtype NAME           of the maps: float32, float16, uint8 (float32)\n"
    "  --threads N, --deterministic\n"
    "  --direct               on the CPU: no convolution by Winograd\n"
    "  --rounds R             timed rounds, after one that does not count (5)\n"
    "  --seconds S            length of a round (1)\n"
    "  --contestant           take part in an interleaved comparison (bench.h); --name NAME: under this name\n"
    "  --segments             time of each segment, and the share of the last\n"
    "  --steps                a table of steps: verb, time (on the CPU), arithmetic, memory traffic, algorithm\n"
    "  --roofline TFLOPS TBPS the limit of the steps, one by one, on such a machine, and how near the measured time is\n";

enum { OPT_NAME = 256, OPT_ROOFLINE, OPT_HELP };

static const struct option long_options[] = {{"device", required_argument, NULL, 'd'},
                                             {"precision", required_argument, NULL, 'p'},
                                             {"batch", required_argument, NULL, 'b'},
                                             {"layer", required_argument, NULL, 'l'},
                                             {"classes", required_argument, NULL, 'k'},
                                             {"size", required_argument, NULL, 's'},
                                             {"dtype", required_argument, NULL, 't'},
                                             {"rounds", required_argument, NULL, 'r'},
                                             {"seconds", required_argument, NULL, 'S'},
                                             {"threads", required_argument, NULL, 'T'},
                                             {"deterministic", no_argument, NULL, 'D'},
                                             {"direct", no_argument, NULL, 'X'},
                                             {"contestant", no_argument, NULL, 'c'},
                                             {"segments", no_argument, NULL, 'g'},
                                             {"steps", no_argument, NULL, 'e'},
                                             {"name", required_argument, NULL, OPT_NAME},
                                             {"roofline", required_argument, NULL, OPT_ROOFLINE},
                                             {"help", no_argument, NULL, OPT_HELP},
                                             {NULL, 0, NULL, 0}};

static const char *const precisions[] = {
    [BCAM_PRECISION_DEFAULT] = "auto", [BCAM_PRECISION_FP32] = "fp32", [BCAM_PRECISION_FP64] = "fp64",
    [BCAM_PRECISION_TF32] = "tf32",    [BCAM_PRECISION_BF16] = "bf16", [BCAM_PRECISION_FP16] = "fp16"};

const char *bench_precision_name(bcam_precision precision)
{
    return (size_t)precision < BENCH_COUNT(precisions) ? precisions[precision] : "?";
}

/* The place of a word, or -1. */
static int choose(const char *word, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(word, words[i]) == 0)
            return (int)i;
    return -1;
}

static bool positive(const char *text, int *out)
{
    char *end = NULL;
    long value = strtol(text, &end, 10);
    *out = (int)value;
    return *text && !*end && value > 0 && value <= 1 << 20;
}

static bool set_choice(bench_options *o, int option, const char *value)
{
    static const char *const sizes[] = {"input", "native"}, *const types[] = {"float32", "float16", "uint8"};
    int at = option == 'p'   ? choose(value, precisions, BENCH_COUNT(precisions))
             : option == 's' ? choose(value, sizes, BENCH_COUNT(sizes))
                             : choose(value, types, BENCH_COUNT(types));
    if (at < 0)
        return false;
    if (option == 'p')
        o->precision = (bcam_precision)at;
    else if (option == 's')
        o->map_size = at ? BCAM_SIZE_NATIVE : BCAM_SIZE_INPUT;
    else
        o->map_dtype = at == 0 ? BCAM_F32 : at == 1 ? BCAM_F16 : BCAM_U8;
    return true;
}

/* --roofline takes two numbers; getopt gives the first. */
static bool set_roofline(bench_options *o, int argc, char **argv)
{
    o->roofline = true;
    o->tflops = atof(optarg);
    o->tbps = optind < argc ? atof(argv[optind++]) : 0;
    return o->tflops > 0 && o->tbps > 0;
}

static bool set_option(bench_options *o, int option, int argc, char **argv)
{
    switch (option) {
    case 'd':
        o->device = optarg;
        return true;
    case 'p':
    case 's':
    case 't':
        return set_choice(o, option, optarg);
    case 'b':
        return positive(optarg, &o->batch);
    case 'k':
        return positive(optarg, &o->classes);
    case 'r':
        return positive(optarg, &o->rounds);
    case 'T':
        return positive(optarg, &o->threads);
    case 'S':
        o->seconds = atof(optarg);
        return o->seconds > 0;
    case 'l':
        if (o->layer_count == (int)BENCH_COUNT(o->layers))
            return false;
        o->layers[o->layer_count++] = optarg;
        return true;
    case OPT_NAME:
        o->name = optarg;
        return true;
    case OPT_ROOFLINE:
        return set_roofline(o, argc, argv);
    default:
        o->deterministic |= option == 'D';
        o->direct |= option == 'X';
        o->contestant |= option == 'c';
        o->segments |= option == 'g';
        o->steps |= option == 'e';
        return option != '?';
    }
}

bool bench_options_read(int argc, char **argv, bench_options *out, int *exit_status)
{
    *out = (bench_options){.device = "auto", .name = "batchcam", .batch = 32, .classes = 1, .rounds = 5, .seconds = 1};
    for (int option; (option = getopt_long(argc, argv, "d:p:b:l:k:", long_options, NULL)) != -1;) {
        if (option == OPT_HELP) {
            fputs(usage, stdout);
            *exit_status = 0;
            return false;
        }
        if (!set_option(out, option, argc, argv)) {
            if (option != '?')
                fprintf(stderr, "'%s' will not do here\n", optarg);
            fputs(usage, stderr);
            *exit_status = 2;
            return false;
        }
    }
    if (optind + 1 == argc) {
        out->model = argv[optind];
        return true;
    }
    fputs(usage, stderr);
    *exit_status = 2;
    return false;
}

static void print_notice(void *data, bcam_log_level level, const char *line)
{
    (void)data, (void)level;
    fprintf(stderr, "%s\n", line);
}

bcam_engine_options bench_engine_options(const bench_options *o)
{
    return (bcam_engine_options){.device = o->device,
                                 .precision = o->precision,
                                 .batch = o->batch,
                                 .threads = o->threads,
                                 .deterministic = o->deterministic,
                                 .layers = o->layers,
                                 .layer_count = o->layer_count,
                                 .classes = o->classes,
                                 .map_size = o->map_size,
                                 .map_dtype = o->map_dtype,
                                 .log = print_notice};
}
