#!/bin/sh
# Keeps the namespaces of one pretended host: a network of its own, and own /run/forebay and /dev/forebay, so that locks
# and names are per host. Started in new namespaces by namespaces.ts; says `ready`, then waits for the end of its
# standard input, which comes when the test closes it or dies, whatever way. Then everything in the namespaces is killed,
# and the loop devices that its volumes have left in the kernel are detached; the rest goes with the namespaces.
#
#   keeper.sh FOREBAY
set -u
forebay=$1
own=$(readlink /proc/self/ns/mnt)

# Twice: a process may have been started by another one that was killed a moment later.
kill_all() {
  for _ in 1 2; do
    for entry in /proc/[0-9]*; do
      pid=${entry#/proc/}
      if [ "$pid" != "$$" ] && [ "$(readlink "$entry/ns/mnt" 2>/dev/null)" = "$own" ]; then kill -9 "$pid" 2>/dev/null; fi
    done
  done
}

# By the command for that: a device whose settings nobody restores would surprise whoever gets its number next.
detach_loops() {
  for attached in /run/forebay/volumes/*/attach.json; do
    if [ -e "$attached" ]; then "$forebay" cleanup "${attached%/*}" >/dev/null 2>&1; fi
  done
}

mount -t tmpfs forebay-test /run/forebay && mount -t tmpfs forebay-test /dev/forebay || exit 1
ip link set lo up || exit 1
echo ready
cat >/dev/null
kill_all
detach_loops
