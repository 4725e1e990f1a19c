#!/bin/sh
# Installs the Debian packages of the real OpenStack services and clients. Nothing is started by it.
set -eu
packages="placement-api keystone glance nova-api nova-conductor nova-scheduler nova-compute
  rabbitmq-server mariadb-server uwsgi-core uwsgi-plugin-python3 util-linux
  python3-openstackclient python3-cyborgclient python3-pymysql python3-memcache"
missing=""
for package in $packages; do
  dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q "ok installed" || missing="$missing $package"
done
[ -n "$missing" ] || exit 0
command -v apt-get >/dev/null || { echo "openstack: needs Debian 12 (apt-get) for:$missing" >&2; exit 1; }
[ "$(id -u)" = 0 ] || { echo "openstack: run test/openstack/install.sh as root, it installs:$missing" >&2; exit 1; }
# Services that packages would start are ours to start, each on a port and in a folder of its own.
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
  printf '#!/bin/sh\nexit 101\n' > $policy
  chmod 755 $policy
  trap 'rm -f $policy' EXIT
fi
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
# shellcheck disable=SC2086
if ! { apt-get update -q && apt-get install -y -q --no-install-recommends $missing; } > "$log" 2>&1; then
  tail -n 5 "$log" >&2
  echo "openstack: apt-get could not install:$missing (log: $log)" >&2
  exit 1
fi
rm -f "$log"
