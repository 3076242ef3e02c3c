// The one place that chooses the machine (see unwind_<machine>.h for what such a file provides).
#pragma once

#if defined(__x86_64__)
#include "core/telemetry/unwind_x86_64.h"
#elif defined(__aarch64__)
#include "core/telemetry/unwind_aarch64.h"
#else
#error "Tenure's unwinder knows x86-64 and aarch64"
#endif
