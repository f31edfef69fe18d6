#!/bin/sh
# File calls of the file register (csi-driver/register/file-register.ts; docs/formats/register.md).
# They run in this process of their own, since a call on a dead mount may never return. Uses only POSIX sh and coreutils.
#
#   register.sh read DIRECTORY VOLUME                 prints GENERATION, a line feed, and what the newest name holds
#   register.sh cas DIRECTORY VOLUME EXPECTED NEXT CHANGE   the new content is standard input
#   register.sh list DIRECTORY                        for each volume VOLUME, tab, GENERATION, tab, content, line feed
#   register.sh host DIRECTORY NODE                   prints the host that has the name NODE
#   register.sh take-name DIRECTORY NODE HOST         gives it to HOST if nobody has it; prints the host that has it
#
# EXPECTED and NEXT are generations as in the names (16 digits); EXPECTED 0000000000000000 creates.
# The content is one line. A writer that dies before it has sent all of it leaves its shell with less, or nothing: that is
# no version, and its line feed is missing.
# Exit: 0 done; 10 conflict; 11 no record, or nobody; 20 nothing was changed and nothing will be; anything else: unknown.
# `test -e` is not used to decide that something is absent: it says "no" to every error of a sick file system.
set -u
umask 077
LC_ALL=C
export LC_ALL
NONE=0000000000000000
CONTENT_BYTES_MAX=4096

fail() {
  code=$1
  shift
  printf '%s\n' "$*" >&2
  exit "$code"
}

# Sets `names` to what directory $1 holds. Returns 1 if it does not exist; exits 20 if it cannot be read.
list_names() {
  if names=$(ls -A "$1" 2>&1); then return 0; fi
  case $names in
    *'No such file or directory') return 1 ;;
    *) fail 20 "$names" ;;
  esac
}

# Sets `newest` to the largest generation of volume $1 in `names`, NONE if there is none. Generations have a fixed
# width and `ls` sorts, so that the last name is the largest number.
find_newest() {
  newest=$NONE
  set -f
  for name in $names; do
    case $name in
      "$1".[0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9]) newest=${name##*.} ;;
    esac
  done
  set +f
}

read_newest() {
  directory=$1/$2
  list_names "$directory" || exit 11
  find_newest "$2"
  [ "$newest" = "$NONE" ] && exit 11
  # A name that another process has linked but not yet synced could vanish with the power: make it durable first.
  sync "$directory" || exit 20
  printf '%s\n' "$newest"
  cat "$directory/$2.$newest" || exit 20
}

compare_and_swap() {
  directory=$1/$2 volume=$2 expected=$3 next=$4
  target=$directory/$volume.$next
  # The process number keeps an earlier call for the same change, given up but not dead, away from this call's file.
  temporary=$directory/.next.$next.$5.$$
  if [ "$expected" = "$NONE" ]; then
    # Each of these directories may be new, and is durable only by a sync of the one above it.
    mkdir -p "$directory" && sync "$1" "$1/.." "$1/../.." || exit 20
  fi
  list_names "$directory" || exit 10
  find_newest "$volume"
  # A newest name that is the target may be our own, whose reply was lost: the comparison below tells.
  if [ "$newest" != "$expected" ] && [ "$newest" != "$next" ]; then exit 10; fi
  set -C
  if ! cat >"$temporary" || [ "$(wc -l <"$temporary")" != 1 ] || ! sync "$temporary"; then
    rm -f "$temporary"
    exit 20
  fi
  # link(2) fails where the name exists: this is the compare-and-swap.
  if ! problem=$(ln "$temporary" "$target" 2>&1); then
    cmp -s "$temporary" "$target"
    case $? in
      0) ;;
      1) rm -f "$temporary"; exit 10 ;;
      *) fail 30 "$problem" ;;
    esac
  fi
  sync "$directory" || exit 30
  # Those of the version before can never be linked any more: leftovers of crashes. Others of this version may be in use.
  rm -f "$temporary" "$directory/.next.$expected."*
  exit 0
}

list_volumes() {
  list_names "$1" || exit 0
  volumes=$names
  set -f
  for volume in $volumes; do
    list_names "$1/$volume" || continue
    find_newest "$volume"
    [ "$newest" = "$NONE" ] && continue
    content=$(head -c "$CONTENT_BYTES_MAX" "$1/$volume/$volume.$newest" | tr -d '\000\t\n')
    printf '%s\t%s\t%s\n' "$volume" "$newest" "$content"
  done
}

name_host() {
  list_names "$1/.hosts" || exit 11
  set -f
  for name in $names; do
    if [ "$name" = "$2" ]; then cat "$1/.hosts/$2" && exit 0 || exit 20; fi
  done
  exit 11
}

take_name() {
  hosts=$1/.hosts node=$2 host=$3
  mkdir -p "$hosts" && sync "$1" || exit 20
  temporary=$hosts/.next.$host.$$
  if ! printf '%s\n' "$host" >"$temporary" || ! sync "$temporary"; then
    rm -f "$temporary"
    exit 20
  fi
  # Fails where another host was faster: then it is that one's.
  ln "$temporary" "$hosts/$node" 2>/dev/null
  rm -f "$temporary"
  sync "$hosts" && cat "$hosts/$node" || exit 20
}

case ${1-} in
  read) read_newest "$2" "$3" ;;
  cas) compare_and_swap "$2" "$3" "$4" "$5" "$6" ;;
  list) list_volumes "$2" ;;
  host) name_host "$2" "$3" ;;
  take-name) take_name "$2" "$3" "$4" ;;
  *) fail 20 "unknown command ${1-}" ;;
esac
