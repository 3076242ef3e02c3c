#!/usr/bin/env bash
# Compiles and links the core with its override for aarch64, with Debian's cross compiler: check_aarch64.sh [JOBS].
# Nothing is run; `cmake --workflow --preset aarch64` also runs the tests, under an emulator.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build=$root/build/aarch64-core
library=$build/lib/libtenure-malloc.so

cd "$root"
cmake --preset aarch64 -B "$build" -DTENURE_TESTS=OFF
cmake --build "$build" -j "${1:-2}" --target tenure_preload
machine=$(aarch64-linux-gnu-readelf --file-header "$library" | sed -n 's/^ *Machine: *//p')
if [[ $machine != AArch64 ]]; then
  printf '%s\n' "check_aarch64: $library is for $machine"
  exit 1
fi
printf '%s objects compiled and linked\n' "$(find "$build/src/core" -name '*.o' | wc -l)"
