#!/bin/sh
# First process of a pretended host (host.ts), in a mount namespace of its own: the host has its own /run/forebay and
# /dev/forebay, so that two hosts may have the same volume. Says `ready`, then waits for the end of its standard input,
# which comes when the bench ends, whatever way. Then everything in the namespace is killed, and the loop devices that its
# volumes have left in the kernel are detached.
#
#   host-keeper.sh FOREBAY
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

mkdir -p /run/forebay /dev/forebay || exit 1
mount -t tmpfs forebay-bench /run/forebay && mount -t tmpfs forebay-bench /dev/forebay || exit 1
echo ready
read -r _
kill_all
for attached in /run/forebay/volumes/*/attach.json; do
  if [ -e "$attached" ]; then "$forebay" cleanup "${attached%/*}" >/dev/null 2>&1; fi
done
