// What is mounted where, as /proc/PID/mountinfo tells it (proc_pid_mountinfo(5)); one line a mount:
// "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue".
import type { SmallFiles } from '../../io/files.ts'

export interface Mount {
  /** "major:minor" of the mounted device. */
  readonly device: string
  readonly mountPoint: string
  readonly type: string
  readonly source: string
}

/** Space, tab, newline and backslash come as octal. */
function unescapePath(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_match, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)))
}

/** Every well-formed line; others are left out. */
export function parseMountInfo(text: string): Mount[] {
  return text.split('\n').flatMap((line) => {
    const [left, right] = line.split(' - ')
    if (left === undefined || right === undefined) return []
    const [, , device, , mountPoint] = left.split(' ')
    const [type, source] = right.split(' ')
    if (device === undefined || mountPoint === undefined || type === undefined || source === undefined) return []
    return [{ device, mountPoint: unescapePath(mountPoint), type, source: unescapePath(source) }]
  })
}

/** Mounts in the mount namespace of a process, oldest first; empty when it has gone. */
export async function mountsOf(files: SmallFiles, pid: string): Promise<Mount[]> {
  return parseMountInfo((await files.read(`/proc/${pid}/mountinfo`)) ?? '')
}
