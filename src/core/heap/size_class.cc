#include "core/base/bits.h"
