// Marks the functions of exports.map.
#pragma once

#define TENURE_EXPORT extern "C" __attribute__((visibility("default")))
#define TENURE_EXPORT_CXX __attribute__((visibility("default")))
