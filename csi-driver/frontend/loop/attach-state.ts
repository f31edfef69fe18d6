// What an attached volume has set up on the host, as a small JSON file that a successor reads when this process did not
// come to take it down. Written before each step that it describes, so that nothing is ever left unrecorded.
import { CacheError } from '../../../base/errors.ts'
import type { SmallFiles } from '../../io/files.ts'

const FORMAT_VERSION = 1

export interface AttachState {
  readonly volume: string
  /** Name of the file in the FUSE mount: unique per connection, and what sysfs shows behind the loop device. */
  readonly fileName: string
  readonly mountPoint: string
  /** Stable name of the device. */
  readonly link: string
  /** null: not mounted yet. Numbers are used again by the kernel: check before acting on one. */
  readonly connectionId: number | null
  /** null: not attached yet. */
  readonly loopDevice: string | null
}

export function encodeAttachState(state: AttachState): string {
  return `${JSON.stringify({ formatVersion: FORMAT_VERSION, ...state })}\n`
}

function isStateShape(value: unknown): value is AttachState & { readonly formatVersion: number } {
  if (typeof value !== 'object' || value === null) return false
  const state = value as Readonly<Record<string, unknown>>
  const texts = ['volume', 'fileName', 'mountPoint', 'link'].every(
    (name) => typeof state[name] === 'string' && state[name] !== '',
  )
  const { connectionId, loopDevice } = state
  const numbered = connectionId === null || (Number.isSafeInteger(connectionId) && Number(connectionId) >= 0)
  const looped = loopDevice === null || (typeof loopDevice === 'string' && /^\/dev\/loop\d+$/.test(loopDevice))
  return state['formatVersion'] === FORMAT_VERSION && texts && numbered && looped
}

/** The state, or null for anything else: a damaged file is not worth refusing a start. */
export function decodeAttachState(text: string): AttachState | null {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return null
  }
  if (!isStateShape(value)) return null
  const { volume, fileName, mountPoint, link, connectionId, loopDevice } = value
  return { volume, fileName, mountPoint, link, connectionId, loopDevice }
}

export async function readAttachState(files: SmallFiles, path: string): Promise<AttachState | null> {
  const text = await files.read(path)
  return text === null ? null : decodeAttachState(text)
}

export async function writeAttachState(files: SmallFiles, path: string, state: AttachState): Promise<void> {
  try {
    await files.replace(path, encodeAttachState(state))
  } catch (error) {
    throw new CacheError('retry', 'CACHE_ATTACH_STATE', `cannot record what is attached path=${path}`, {
      remedy: 'Make the run directory writable.',
      cause: error,
    })
  }
}
