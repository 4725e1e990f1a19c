#!/bin/sh
# Installs the Debian packages that the lab needs: a compiler, an initramfs, QEMU.
set -eu
packages="gcc make cpio busybox-static qemu-system-x86 kmod xz-utils libc6-dev bc"
missing=""
for package in $packages; do
  dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q "ok installed" || missing="$missing $package"
done
[ -n "$missing" ] || exit 0
[ "$(id -u)" = 0 ] || { echo "hostlab: run test/hostlab/install.sh as root, it installs:$missing" >&2; exit 1; }
export DEBIAN_FRONTEND=noninteractive
apt-get update -q
# shellcheck disable=SC2086
apt-get install -y -q --no-install-recommends $missing
