#!/usr/bin/env bash
# Uses Tenure as somebody else would: consume.sh KIND CHECKOUT BUILD, where KIND is find_package, pkg_config or
# fetch_content.
set -euo pipefail

kind=$1 checkout=$2 build=$3
here=$checkout/tests/install
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

install_and_move() {
  cmake --install "$build" --prefix "$work/first" >"$work/log" || { cat "$work/log"; exit 1; }
  mv "$work/first" "$work/tenure"
}

case $kind in
  find_package)
    install_and_move
    cmake -S "$here/consumer" -B "$work/build" -G Ninja -DCMAKE_PREFIX_PATH="$work/tenure"
    cmake --build "$work/build"
    "$work/build/linked"
    "$work/build/shared"
    "$work/build/plain"
    ;;
  pkg_config)
    install_and_move
    folder=$(dirname "$(find "$work/tenure" -name tenure-malloc.pc)")
    read -r -a flags < <(PKG_CONFIG_PATH=$folder pkg-config --cflags --libs tenure-malloc)
    g++ -std=c++20 "$here/consumer/main.cc" "${flags[@]}" -o "$work/linked"
    "$work/linked"
    gcc "$here/consumer/main.c" "${flags[@]}" -o "$work/plain"
    "$work/plain"
    ;;
  fetch_content)
    cmake -S "$here/subproject" -B "$work/build" -G Ninja -DTENURE_CHECKOUT="$checkout"
    cmake --build "$work/build" --target linked
    "$work/build/linked"
    ;;
  *)
    echo "consume.sh: unknown kind $kind" >&2
    exit 2
    ;;
esac
