#!/usr/bin/env bash
# Runs the command behind a block of README.md and pastes what it prints between the block's markers.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

usage() {
  cat <<'END'
usage: tools/update_readme.sh report    what ./run prints
       tools/update_readme.sh costs     what bench/heap/run.py prints (takes long)
       tools/update_readme.sh costs bench/results/NAME.short.md     the same from a run that is there
END
}

fenced() {
  local fence=$'\x60\x60\x60'
  printf '%stext\n%s\n%s\n' "$fence" "$(cat)" "$fence"
}

produce() {
  case $1 in
    report)
      # The report of ./run goes where the program's own output does not; here, to a file of its own.
      ./run -o "$text.report" -- sqlite3 :memory: <examples/sqlite_workload/workload.sql >/dev/null
      fenced <"$text.report"
      ;;
    costs)
      if [[ -n ${2-} ]]; then
        cat "$2"
      else
        cmake --preset release -DTENURE_BENCH=ON >&2
        cmake --build build/release >&2
        bench/heap/run.py
      fi
      ;;
  esac
}

case ${1-} in
  report | costs) ;;
  -h | --help)
    usage
    exit 0
    ;;
  *)
    usage >&2
    exit 2
    ;;
esac

text=$(mktemp)
trap 'rm -f "$text" "$text.report"' EXIT
produce "$@" >"$text"
[[ -s $text ]] || {
  echo "update_readme: the command printed nothing; README.md is as it was" >&2
  exit 1
}
python3 - "$1" "$text" <<'END'
import pathlib
import sys

name, text = sys.argv[1], pathlib.Path(sys.argv[2]).read_text().rstrip("\n")
readme = pathlib.Path("README.md")
before, begin, rest = readme.read_text().partition(f"<!-- {name}:begin -->\n")
old, end, after = rest.partition(f"<!-- {name}:end -->")
if not begin or not end:
    sys.exit(f"update_readme: README.md has no block {name}")
# Trailing white space of a report means nothing, and the house has none.
lines = [line.rstrip() for line in text.splitlines()]
readme.write_text(before + begin + "\n".join(lines) + "\n" + end + after)
END
echo "README.md: the block $1 is new" >&2
