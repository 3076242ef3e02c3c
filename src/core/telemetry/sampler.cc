#include "core/telemetry/telemetry.h"
