/* wire.h - protobuf's wire format, read in place. Nothing is copied or allocated, nothing recurses. */
#ifndef BCAM_NET_WIRE_H
#define BCAM_NET_WIRE_H

#include "base/base.h"

/** What is left of a message. A message inside a message is one more of these over the bytes of its field. */
typedef struct bcam_wire {
    const uint8_t *at, *end;
    const char *problem; /* NULL, or why `at` cannot be read; then nothing more comes */
    bool cut_off;        /* the problem is that the bytes end too early */
} bcam_wire;

/** A field as it stands in the file. Comparing `key` with the macros below compares number and wire type at once, so that
 *  a field of a known number but another wire type is skipped like an unknown one, as protobuf does. */
typedef struct bcam_field {
    uint32_t key;
    uint64_t value;       /* of varints and fixed-width numbers; an int64 is its two's complement */
    const uint8_t *bytes; /* of strings, messages and packed numbers */
    size_t size;
} bcam_field;

enum { BCAM_WIRE_VARINT = 0, BCAM_WIRE_FIXED64 = 1, BCAM_WIRE_BYTES = 2, BCAM_WIRE_FIXED32 = 5 };

#define BCAM_KEY(number, type) ((uint32_t)(number) << 3 | (uint32_t)(type))
#define BCAM_VARINT(number) BCAM_KEY(number, BCAM_WIRE_VARINT)
#define BCAM_BYTES(number) BCAM_KEY(number, BCAM_WIRE_BYTES)
#define BCAM_FIXED32(number) BCAM_KEY(number, BCAM_WIRE_FIXED32)

bcam_wire bcam_wire_open(const uint8_t *bytes, size_t size);

/** The next field; false at the end, and where the bytes are no message (then wire->problem says why and wire->at is
 *  where). Groups are refused: ONNX has none. */
bool bcam_wire_next(bcam_wire *wire, bcam_field *field);

/** The elements of one repeated number field of a message, packed or not, in file order. */
typedef struct bcam_scalars {
    bcam_wire message, packed;
    uint32_t number;
    int type; /* BCAM_WIRE_VARINT, _FIXED32 or _FIXED64 */
} bcam_scalars;

bcam_scalars bcam_scalars_open(bcam_wire message, uint32_t number, int type);
/** False at the end, and on damage (then scalars->message.problem is set). */
bool bcam_scalars_next(bcam_scalars *scalars, uint64_t *value);

#endif
