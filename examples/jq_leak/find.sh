#!/usr/bin/env bash
# A leak of Debian's jq 1.6, from the symptom to the line: find.sh [EVENTS].
#
# docs/guide/a-leak-in-jq.md says what each step shows. JQ names another jq, such as one that was built with debug
# information; TENURE another tenure.
set -euo pipefail
events=${1:-40000}
# A path stays good in another folder.
whole() {
  if [[ $1 == */* ]]; then realpath "$1"; else echo "$1"; fi
}
jq=$(whole "${JQ:-jq}")
tenure=$(whole "${TENURE:-tenure}")
filter='.id |= ltrimstr("v")'

version=$("$jq" --version)
if [[ $version != jq-1.6* ]]; then
  echo "find.sh: $version is not the jq 1.6 of which this is told" >&2
  exit 3
fi
folder=$(mktemp -d)
trap 'rm -r "$folder"' EXIT
cd "$folder"

# Old events have ids such as "v7", new ones numbers: half and half.
awk -v events="$events" 'BEGIN {
  for (i = 1; i <= events; i++) printf i % 2 ? "{\"id\":\"v%d\"}\n" : "{\"id\":%d}\n", i
}' >events.json

show() {
  printf '\n$ %s\n' "$*"
}

show "tenure record -o run.tenure -- jq -c '$filter' events.json >ids.json"
"$tenure" record -q -o run.tenure -- "$jq" -c "$filter" events.json >ids.json
show 'tenure leaks run.tenure'
"$tenure" leaks run.tenure
show "tenure leaks -- jq -c '$filter' events.json"
"$tenure" leaks -o leaks.txt -- "$jq" -c "$filter" events.json >ids.json
cat leaks.txt
show "tenure check --max-leak 64K -- jq -c '$filter' events.json"
"$tenure" check --max-leak 64K -o check.txt -- "$jq" -c "$filter" events.json >ids.json ||
  echo "exit code $?" >>check.txt
cat check.txt
