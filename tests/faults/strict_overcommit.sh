#!/usr/bin/env bash
# The heap where the kernel refuses what it cannot back (vm.overcommit_memory=2): strict_overcommit.sh BUILD_FOLDER.
#
# The setting is one of the whole machine, so a virtual one is started for it, emulated, with a kernel of Debian's and a
# few programs in its first RAM disk. It needs qemu-system-x86, busybox-static and a kernel: $TENURE_TEST_KERNEL, or the
# newest readable one in /boot, or Debian's for clouds, which it fetches and does not install. Without them it exits
# with 77, and says what to do.
set -euo pipefail

skip() {
  echo "strict_overcommit: $1" >&2
  exit 77
}

newest_kernel() { { find "$1" -name 'vmlinuz-*' -readable 2>/dev/null || true; } | sort -V | tail -n 1; }

# Debian's kernel for clouds, which is the smallest, taken out of its package into the build folder.
fetch_kernel() {
  local folder=$1 package
  package=$(apt-cache depends linux-image-cloud-amd64 2>/dev/null | awk '/Depends: linux-image-[0-9]/ { print $2 }')
  [[ -n $package ]] || return 0
  mkdir -p "$folder"
  (cd "$folder" && apt-get download -qq "$package" && dpkg-deb -x ./*.deb . && rm -f ./*.deb) >&2 || return 0
  newest_kernel "$folder/boot"
}

build=${1:?usage: strict_overcommit.sh BUILD_FOLDER}
kernel=${TENURE_TEST_KERNEL:-$(newest_kernel /boot)}
kernel=${kernel:-$(newest_kernel "$build/kernel/boot")}
kernel=${kernel:-$(fetch_kernel "$build/kernel")}
command -v qemu-system-x86_64 >/dev/null || skip "qemu-system-x86 is not installed"
busybox=$(command -v busybox) || skip "busybox-static is not installed"
! ldd "$busybox" >/dev/null 2>&1 || skip "$busybox is not static: install busybox-static"
[[ -r $kernel ]] || skip "there is no kernel in /boot, and none could be fetched: name one in TENURE_TEST_KERNEL"

library=$build/lib/libtenure-malloc.so
programs=("$build/bin/limit_victim" "$build/bin/tenure" "$(command -v sqlite3)")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
disk=$work/disk
mkdir -p "$disk"/{bin,lib,proc,sys,dev,tmp}
cp "$busybox" "$disk/bin/busybox"
cp "$library" "$disk/lib/"

# Each program and the libraries it names, at the same paths.
for program in "${programs[@]}"; do
  [[ -x $program ]] || { echo "strict_overcommit: $program is not built" >&2; exit 2; }
  cp "$program" "$disk/bin/"
  while read -r file; do
    mkdir -p "$disk$(dirname "$file")"
    cp -nL "$file" "$disk$file"
  done < <(ldd "$program" | grep -o '/[^ ]*')
done

cat >"$disk/init" <<'END'
#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/shm
mount -t tmpfs -o size=64m shm /dev/shm
export PATH=/bin HOME=/tmp
heap=/lib/libtenure-malloc.so
mebibyte=1048576

say() { echo "overcommit: $*"; }
check() { # NAME COMMAND...
  name=$1
  shift
  if "$@"; then say "ok $name"; else say "FAILED $name: exit code $?"; fi
}
committed_kib() { awk '/^Committed_AS/ { print $2 }' /proc/meminfo; }

# How much more of the machine's promise is taken while sqlite3 waits for its input.
charge_kib() { # PRELOADED_LIBRARY
  mkfifo /tmp/wait
  before=$(committed_kib)
  LD_PRELOAD=$1 sqlite3 :memory: </tmp/wait >/dev/null &
  exec 3>/tmp/wait
  sleep 2
  after=$(committed_kib)
  exec 3>&-
  wait
  rm /tmp/wait
  echo $((after - before))
}

answers() { [ "$(LD_PRELOAD=$heap sqlite3 :memory: 'select 6 * 7')" = 42 ]; }
watches() {
  [ "$(tenure run -o /tmp/report --preload $heap -- sqlite3 :memory: 'select 6 * 7')" = 42 ] &&
    grep -q 'Where it lives' /tmp/report
}

echo 2 >/proc/sys/vm/overcommit_memory
echo 80 >/proc/sys/vm/overcommit_ratio
limit_kib=$(awk '/^CommitLimit/ { print $2 }' /proc/meminfo)
say "vm.overcommit_memory $(cat /proc/sys/vm/overcommit_memory), limit $limit_kib KiB"
check "a program starts" answers
check "tenure run" watches
check "to the limit and back" env LD_PRELOAD=$heap limit_victim $((150 * mebibyte))
check "a program starts afterwards" answers
plain=$(charge_kib "")
ours=$(charge_kib $heap)
say "sqlite3 waiting is charged $plain KiB with glibc's heap, $ours KiB with Tenure's"
check "the heap is charged for what it has made writable" [ $((ours - plain)) -le 16384 ]
say "end"
poweroff -f
END
chmod +x "$disk/init"
(cd "$disk" && find . | "$busybox" cpio -o -H newc 2>/dev/null | gzip -1) >"$work/disk.gz"

timeout 180 qemu-system-x86_64 -accel tcg -cpu max -m 512 -nographic -no-reboot -net none -kernel "$kernel" \
  -initrd "$work/disk.gz" -append "console=ttyS0 panic=-1 quiet" </dev/null >"$work/said" 2>&1 || true
tr -d '\r' <"$work/said" | grep -a -o 'overcommit: .*' || true
if grep -a -q 'overcommit: FAILED' "$work/said" || ! grep -a -q 'overcommit: end' "$work/said"; then
  grep -a -q 'overcommit: end' "$work/said" || tail -n 20 "$work/said"
  exit 1
fi
