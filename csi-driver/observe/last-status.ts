// What a volume looked like lately, in a small file that outlives its engine: <state-dir>/run/VOLUME.last.json.
// It decides nothing. It lets a message about a volume that cannot be opened say how much is missing and how old it
// is, and lets `forebay status` describe stopped volumes. Replaced by rename, so that a reader finds one or the other.
import type { Bytes, Ms } from '../../base/units.ts'
import type { SmallFiles } from '../io/files.ts'

export interface LastStatus {
  readonly dirtyBytes: Bytes
  /** When the oldest data that was then dirty was written; null when clean. */
  readonly oldestDirtyWallMs: Ms | null
  /** When this was written. */
  readonly atWallMs: Ms
  readonly backing: string
  readonly cache: string
  readonly writePolicy: string
  readonly reason: string | null
  /** Directory of the register, and the own name in it; null where the file is older than these fields. */
  readonly register: string | null
  readonly node: string | null
}

export function encodeLastStatus(status: LastStatus): string {
  return `${JSON.stringify(status)}\n`
}

/** Reads the text of the file; null for anything else. */
export function decodeLastStatus(text: string): LastStatus | null {
  try {
    const given: unknown = JSON.parse(text)
    if (typeof given !== 'object' || given === null) return null
    const { dirtyBytes, oldestDirtyWallMs, atWallMs, ...rest } = given as Record<string, unknown>
    const { backing, cache, writePolicy, reason, register, node } = rest
    const isNumber = (value: unknown): value is number =>
      typeof value === 'number' && Number.isFinite(value) && value >= 0
    const isText = (value: unknown): value is string => typeof value === 'string'
    const textOrNull = (value: unknown): string | null => (isText(value) ? value : null)
    if (!isNumber(dirtyBytes) || !isNumber(atWallMs)) return null
    if (!isText(backing) || !isText(cache) || !isText(writePolicy)) return null
    return {
      dirtyBytes,
      oldestDirtyWallMs: isNumber(oldestDirtyWallMs) ? oldestDirtyWallMs : null,
      atWallMs,
      backing,
      cache,
      writePolicy,
      reason: textOrNull(reason),
      register: textOrNull(register),
      node: textOrNull(node),
    }
  } catch {
    return null
  }
}

/** How often the file is written while something changes. */
export const LAST_STATUS_INTERVAL_MS: Ms = 5_000

/**
 * Writes the file when what it says has changed, at most every LAST_STATUS_INTERVAL_MS; the caller ticks. A failing
 * disk only costs the description: the next tick tries again.
 */
export class LastStatusWriter {
  private readonly files: Pick<SmallFiles, 'replace'>
  private readonly path: string
  private writtenWallMs = Number.NEGATIVE_INFINITY
  private writtenText = ''
  private writing = false

  constructor(files: Pick<SmallFiles, 'replace'>, path: string) {
    this.files = files
    this.path = path
  }

  /** `now` writes at once, for the last time before a stop. Resolves when written, or when nothing was to be done. */
  async update(status: LastStatus, now = false): Promise<void> {
    const { atWallMs, ...rest } = status
    const text = JSON.stringify(rest)
    const sinceMs = Math.abs(atWallMs - this.writtenWallMs)
    if (this.writing || (!now && (sinceMs < LAST_STATUS_INTERVAL_MS || text === this.writtenText))) return
    this.writing = true
    try {
      await this.files.replace(this.path, encodeLastStatus(status))
      this.writtenWallMs = atWallMs
      this.writtenText = text
    } catch {
      // Told nowhere: a state directory that fails is reported by the register, which matters.
    }
    this.writing = false
  }
}
