// The file /proc/self/mountinfo, read and understood: who is mounted where, and which file system a path lies on.
// Format: proc(5), one mount a line: id parent major:minor root mountpoint options optional… - type source options.
import { readFile } from 'node:fs/promises'

export interface Mount {
  /** `major:minor` of the file system's device. */
  readonly device: string
  /** Directory of that file system which is mounted (`/` unless it is a bind mount or subvolume). */
  readonly root: string
  readonly mountPoint: string
  readonly type: string
  readonly source: string
}

export async function readMounts(): Promise<Mount[]> {
  return parseMounts(await readFile('/proc/self/mountinfo', 'utf8'))
}

/** Lines that are not understood are left out. */
export function parseMounts(text: string): Mount[] {
  const mounts: Mount[] = []
  for (const line of text.split('\n')) {
    const fields = line.split(' ')
    const dash = fields.indexOf('-', 6)
    const [, , device, root, mountPoint] = fields
    const [type, source] = dash < 0 ? [] : fields.slice(dash + 1)
    if (device === undefined || root === undefined || mountPoint === undefined) continue
    if (type === undefined || source === undefined) continue
    mounts.push({ device, root: unescape(root), mountPoint: unescape(mountPoint), type, source: unescape(source) })
  }
  return mounts
}

/** The mount that shows `path` (absolute, without links): the last one of the longest mount point. */
export function mountOf(mounts: readonly Mount[], path: string): Mount | null {
  let best: Mount | null = null
  for (const mount of mounts) {
    const prefix = mount.mountPoint.endsWith('/') ? mount.mountPoint : `${mount.mountPoint}/`
    const shows = path === mount.mountPoint || path.startsWith(prefix)
    if (shows && (best === null || mount.mountPoint.length >= best.mountPoint.length)) best = mount
  }
  return best
}

/** Space, tab, newline and backslash stand as octal escapes. */
function unescape(text: string): string {
  return text.replaceAll(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)))
}
