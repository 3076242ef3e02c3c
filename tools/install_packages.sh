#!/usr/bin/env bash
# Installs the Debian packages of the named lists (tools/packages/LIST.txt), those that are missing and no others.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

say() { printf '%s\n' "packages: $*"; }

fail() {
  printf 'packages: %s\n' "$@" >&2
  exit 1
}

wanted() {
  local list
  for list in "$@"; do
    [[ -r $here/packages/$list.txt ]] || fail "there is no list tools/packages/$list.txt"
    sed -e 's/#.*//' -e 's/[[:space:]]//g' -e '/^$/d' "$here/packages/$list.txt"
  done | sort -u
}

missing() {
  local package state
  while read -r package; do
    # shellcheck disable=SC2016  # ${Status} is dpkg-query's own
    state=$(dpkg-query --show --showformat='${Status}' "$package" 2>/dev/null || true)
    [[ $state == *" ok installed" ]] || printf '%s\n' "$package"
  done
}

as_root() {
  if [[ $(id -u) -eq 0 ]]; then
    env DEBIAN_FRONTEND=noninteractive "$@"
  else
    sudo env DEBIAN_FRONTEND=noninteractive "$@"
  fi
}

[[ $# -gt 0 ]] || fail "usage: install_packages.sh LIST..."
command -v dpkg-query >/dev/null || fail "this needs Debian 12 (there is no dpkg-query here)"

mapfile -t absent < <(wanted "$@" | missing)
if [[ ${#absent[@]} -eq 0 ]]; then
  say "all packages of $* are there"
  exit 0
fi

if [[ $(id -u) -ne 0 ]] && ! command -v sudo >/dev/null; then
  fail "these are missing: ${absent[*]}" "run this as root, or install sudo"
fi

say "installing ${#absent[@]}: ${absent[*]}"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! as_root apt-get update -q >"$log" 2>&1; then
  cat "$log" >&2
  fail "apt-get update failed: is there a network, and a Debian 12 mirror in the package sources?"
fi
if ! as_root apt-get install -y -q --no-install-recommends "${absent[@]}" >"$log" 2>&1; then
  tail -n 30 "$log" >&2
  fail "apt-get install failed: is there a network, and a Debian 12 mirror in the package sources?"
fi
say "installed"
