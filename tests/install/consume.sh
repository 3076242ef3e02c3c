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

# The library leaves malloc alone, and the preloaded heap serves both.
expect_library() { # PROGRAM PRELOAD_LIBRARY
  [[ $("$1") == "heaps alone" ]] || { echo "$1 does not leave malloc alone"; exit 1; }
  [[ $(LD_PRELOAD=$2 "$1") == "heaps and malloc" ]] || { echo "$1 does not meet the preloaded heap"; exit 1; }
}

case $kind in
  find_package)
    install_and_move
    cmake -S "$here/consumer" -B "$work/build" -G Ninja -DCMAKE_PREFIX_PATH="$work/tenure"
    cmake --build "$work/build"
    "$work/build/linked"
    "$work/build/shared"
    "$work/build/plain"
    [[ ! -x $work/build/cold ]] || "$work/build/cold"
    expect_library "$work/build/library" "$(find "$work/tenure" -name libtenure-malloc.so)"
    ;;
  pkg_config)
    install_and_move
    folder=$(dirname "$(find "$work/tenure" -name tenure-malloc.pc)")
    read -r -a flags < <(PKG_CONFIG_PATH=$folder pkg-config --cflags --libs tenure-malloc)
    g++ -std=c++20 "$here/consumer/main.cc" "${flags[@]}" -o "$work/linked"
    "$work/linked"
    gcc "$here/consumer/main.c" "${flags[@]}" -o "$work/plain"
    "$work/plain"
    read -r -a flags < <(PKG_CONFIG_PATH=$folder pkg-config --cflags --libs tenure)
    g++ -std=c++20 "$here/consumer/library.cc" "${flags[@]}" -Wl,-rpath,"${folder%/*}" -o "$work/library"
    expect_library "$work/library" "${folder%/*}/libtenure-malloc.so"
    if [[ -f $folder/tenure-compressed.pc ]]; then
      read -r -a flags < <(PKG_CONFIG_PATH=$folder pkg-config --cflags --libs tenure-compressed)
      g++ -std=c++20 "$here/consumer/cold.cc" "${flags[@]}" -Wl,-rpath,"${folder%/*}" -o "$work/cold"
      "$work/cold"
    fi
    ;;
  fetch_content)
    cmake -S "$here/subproject" -B "$work/build" -G Ninja -DTENURE_CHECKOUT="$checkout"
    cmake --build "$work/build" --target linked library tenure_preload
    "$work/build/linked"
    expect_library "$work/build/library" "$(find "$work/build" -name libtenure-malloc.so)"
    ;;
  *)
    echo "consume.sh: unknown kind $kind" >&2
    exit 2
    ;;
esac
