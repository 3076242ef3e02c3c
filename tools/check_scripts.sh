#!/usr/bin/env bash
# Every shell script of the repository passes shellcheck.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

mapfile -t found < <(find . -path ./build -prune -o -path ./.git -prune -o -type f -name '*.sh' -print | sort)
shellcheck --external-sources run test .ci/run "${found[@]}"
echo "$((${#found[@]} + 3)) scripts"
