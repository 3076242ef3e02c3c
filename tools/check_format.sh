#!/usr/bin/env bash
# Holds every C and C++ source against .clang-format. With --fix it formats them.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Another version formats some constructs otherwise, so there is one for all.
formatter=clang-format-14
command -v "$formatter" >/dev/null || {
  echo "check_format: $formatter is not installed (package clang-format-14)" >&2
  exit 1
}

# .inc files are generated text, not sources.
mapfile -t sources < <(
  for folder in src include tests bench fuzz examples; do
    [[ ! -d $folder ]] ||
      find "$folder" -type f \( -name '*.h' -o -name '*.hpp' -o -name '*.cc' -o -name '*.c' \) -print
  done | sort
)

if [[ ${1-} == --fix ]]; then
  "$formatter" -i "${sources[@]}"
  exit
fi

# All in one process: to start one takes longer than to read a source.
"$formatter" --dry-run --Werror "${sources[@]}" || {
  echo "check_format: not formatted, run tools/check_format.sh --fix" >&2
  exit 1
}
echo "${#sources[@]} files"
