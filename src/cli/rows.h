/* rows.h - rows of options that more than one command has; `at` is the offset of the field in the command's settings. */
#ifndef BCAM_CLI_ROWS_H
#define BCAM_CLI_ROWS_H

#include "options.h"

/* Choices whose places are the library's own numbers. */
#define CLI_SIZES "input native"
#define CLI_DTYPES "float32 float16 uint8"
#define CLI_DECODES "exact fast"
_Static_assert(BCAM_DECODE_EXACT == 0 && BCAM_DECODE_FAST == 1, "see CLI_DECODES");
_Static_assert(BCAM_SIZE_INPUT == 0 && BCAM_SIZE_NATIVE == 1, "see CLI_SIZES");
_Static_assert(BCAM_F32 == 0 && BCAM_F16 == 1 && BCAM_U8 == 2, "see CLI_DTYPES");

#define CLI_ROW_LAYER(at)                                                                                                        \
    {                                                                                                                            \
        0, "layer", "NAME", "the last layer with spatial extent before the head",                                                \
            "target layer, where maps are taken; again for more",                                                                \
            "An exact node or tensor name, or a PyTorch module path such as layer4 or layer4.2.conv3. 'batchcam inspect MODEL' " \
            "lists the candidates. Several layers share one forward pass. Commas separate names; '\\,' is a comma within one.",  \
            NULL, cli_set_list, at                                                                                               \
    }
#define CLI_ROW_METHOD(at)                                                                                                         \
    {                                                                                                                              \
        0, "method", "NAME", "gradcam", "how maps are made; again for more",                                                       \
            "gradcam: channel weights are the mean of the gradient. hirescam: the gradient times the activation, place by place.", \
            "gradcam hirescam", cli_set_list, at                                                                                   \
    }
#define CLI_ROW_TARGET(at)                                                                                                        \
    {                                                                                                                             \
        0, "target", "WHAT", "top1", "which classes are explained; again for more",                                               \
            "top1, or topK for the K classes with the highest scores (top5); label: the photo's label, from its folder or list; " \
            "a class by its name or number; FILE.csv with classes per photo. Several give the union, each class once.",           \
            "top1 top5 label", cli_set_list, at                                                                                   \
    }
#define CLI_ROW_PRESET(at)                                                                                                         \
    {                                                                                                                              \
        0, "preset", "NAME", "a file beside the model, else torchvision", "how photos become the network's input",                 \
            "torchvision, keras-tf, keras-caffe, unit or raw. It must be what the model was trained with; labelled accuracy near " \
            "chance is a sign that it is not.",                                                                                    \
            "torchvision keras-tf keras-caffe unit raw", cli_set_text, at                                                          \
    }
#define CLI_ROW_PREPROCESS(at)                                                                                         \
    {                                                                                                                  \
        0, "preprocess", "FILE", NULL, "the same, from a JSON file",                                                   \
            "batchcam's own, a Hugging Face preprocessor_config.json or a timm config.json.", NULL, cli_set_text, at   \
    }
#define CLI_ROW_DECODE(at)                                                                                                                                \
    {                                                                                                                                                     \
        0, "decode", "NAME", "exact", "exact, or fast: large JPEGs are decoded smaller",                                                                  \
            "fast decodes a JPEG at a half, a quarter or an eighth of its size where it is made at least that much smaller, as Pillow's draft() "         \
            "does. What the network sees then differs, on 216 photos by half a grey level in the mean and by 36 at most. Other photos stay as they are.", \
            CLI_DECODES, cli_set_choice, at                                                                                                               \
    }
#define CLI_ROW_DEVICE(at)                                                                                                       \
    {                                                                                                                            \
        0, "device", "NAME", "auto", "auto, cpu, cuda or reference",                                                             \
            "auto takes CUDA where there is a card and says so, else the CPU. cuda:1 is the second card. reference is plain C: " \
            "slow, for checking.",                                                                                               \
            "auto cpu cuda reference", cli_set_text, at                                                                          \
    }
#define CLI_ROW_THREADS(at)                                                                                            \
    {                                                                                                                  \
        0, "threads", "N", "all cores", "threads in all", NULL, NULL, cli_set_int, at                                  \
    }
#define CLI_ROW_DETERMINISTIC(at)                                                                                      \
    {                                                                                                                  \
        0, "deterministic", NULL, NULL, "choose no algorithm by timing",                                               \
            "Every run then takes the same algorithms, maybe slower ones.", NULL, cli_set_flag, at                     \
    }
#define CLI_ROW_SIZE(at)                                                                                                      \
    {                                                                                                                         \
        0, "size", "NAME", "input", "input: maps as large as the network's input; native: as computed",                       \
            "native is the advice for large sets: a map of 7x7 is 196 bytes, at 224x224 it is 196 KiB, and it can always be " \
            "enlarged later.",                                                                                                \
            CLI_SIZES, cli_set_choice, at                                                                                     \
    }
#define CLI_ROW_DTYPE(at)                                                                                              \
    {                                                                                                                  \
        0, "dtype", "NAME", "float32", "element type of maps: float32, float16 or uint8",                              \
            "uint8 is round(255 L / raw_max), with raw_max in the index.", CLI_DTYPES, cli_set_choice, at              \
    }
#define CLI_ROW_OVERLAY(at)                                                                                            \
    {                                                                                                                  \
        0, "overlay", NULL, NULL, "also write each map over its photo (JPEG)", NULL, NULL, cli_set_flag, at            \
    }

#endif
