/* kernel_device.h - a device whose steps are the own CUDA kernels, run on the CPU: for the case tables. Host memory stands in for the card's.
 *
 * Every value has a block of its own, of exactly its size, so that AddressSanitizer sees every overrun. CONV and GEMM are refused. Where values
 * lie follows from options.index:
 *
 *   0  channels-last, aligned, as on the card: packs of 16 bytes wherever shapes allow it. Constants of NORM, PREP and CAM are float32
 *   1  row-major, aligned. Constants are of the device's type
 *   2  channels-last with gaps between rows, one element past an aligned address: no packs at all
 *
 * options.precision: fp32 (the default), fp16, bf16.
 */
#ifndef BCAM_TEST_KERNEL_DEVICE_H
#define BCAM_TEST_KERNEL_DEVICE_H

#include "dev/dev.h"

enum { KERNEL_LAYOUTS = 3 };

extern const bcam_device_api kernel_device;

#endif
