// Zeroes ranges of an open file or block device with util-linux `fallocate --punch-hole`, since Node has no such call.
// The kernel promises zeros for both: a hole of a file reads as zeros, and for a block device this mode issues
// WRITE_ZEROES with unmap allowed, without a fallback (block/fops.c, blkdev_fallocate), so a device that cannot fails
// with EOPNOTSUPP instead of being written to for minutes.
// One child handles a batch: a shell loop that reads "offset length" lines. It works on the very descriptor it
// inherits, so it never meets another file under the same name, and while it runs it keeps that open file alive with
// its O_EXCL claim or flock: an engine that is started after a crash cannot open the backing before the last child of
// its predecessor has ended (PROTOCOL.md 3.1, [h-reap]). The loop itself stops when its parent is gone.
import { IoError } from '../../../base/errors.ts'
import type { ByteRange } from '../storage.ts'
import { EXIT_NOT_STARTED } from '../process.ts'
import type { Processes } from '../process.ts'

/** Ranges one child works on; longer lists take several children, one after the other. */
export const RANGES_PER_CHILD_MAX = 64

/** Reopening through /proc/self/fd gives a description without O_DIRECT and O_EXCL, which the claim does not forbid. */
const SCRIPT = `while read -r offset length; do
  kill -0 "$PPID" 2>/dev/null || exit 1
  fallocate --punch-hole --offset "$offset" --length "$length" /proc/self/fd/3 || exit 1
done`

/** How `LC_ALL=C fallocate` words what went wrong. */
const ERRORS: readonly (readonly [text: string, code: string])[] = [
  ['Operation not supported', 'EOPNOTSUPP'],
  ['mode is not supported', 'EOPNOTSUPP'],
  ['mode is unsupported', 'EOPNOTSUPP'],
  ['not found', 'EOPNOTSUPP'],
  ['No space left', 'ENOSPC'],
  ['Disk quota exceeded', 'EDQUOT'],
  ['Read-only file system', 'EROFS'],
  ['Invalid argument', 'EINVAL'],
]

/** All ranges read back as zeros when it resolves with null. They are multiples of the logical block size. */
export async function zeroRanges(
  processes: Processes,
  target: { readonly fd: number; readonly name: string },
  ranges: readonly ByteRange[],
): Promise<IoError | null> {
  for (let from = 0; from < ranges.length; from += RANGES_PER_CHILD_MAX) {
    const batch = ranges.slice(from, from + RANGES_PER_CHILD_MAX)
    const stdin = batch.map(({ position, length }) => `${position} ${length}\n`).join('')
    // One child at a time: each holds a process, and the device serialises zeroes anyway.
    // oxlint-disable-next-line eslint/no-await-in-loop
    const result = await processes.run(['sh', '-c', SCRIPT], { stdin, passFds: [target.fd] })
    if (result.exitCode !== 0) {
      const said = result.stderr.trim().split('\n').at(-1) ?? ''
      const code =
        ERRORS.find(([text]) => said.includes(text))?.[1] ??
        (result.exitCode === EXIT_NOT_STARTED ? 'EOPNOTSUPP' : 'EIO')
      return new IoError(code, `zero failed path=${target.name} ranges=${batch.length} errno=${code} said="${said}"`)
    }
  }
  return null
}

/**
 * Can the file system punch holes? Asked with a hole behind the end of the file, which changes nothing: a hole never
 * grows a file.
 */
export async function canPunchHoles(
  processes: Processes,
  target: { readonly fd: number; readonly name: string },
  behindEnd: number,
): Promise<boolean> {
  return (await zeroRanges(processes, target, [{ position: behindEnd, length: 4096 }])) === null
}
