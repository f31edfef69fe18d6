// What an engine leaves to the next one of the same connection: the negotiated FUSE session and the kind of the channel
// (fixed for the life of a mount, since epoll leaves O_NONBLOCK on the shared description). In the run directory.
import type { FuseChannelKind } from '../io/fuse-channel.ts'
import type { SmallFiles } from '../io/files.ts'
import type { FuseSession } from '../frontend/fuse/negotiate.ts'
import { RUN_SESSION } from '../holder/run-directory.ts'

export interface SavedSession {
  readonly session: FuseSession
  readonly channelKind: FuseChannelKind
}

export function saveSession(files: SmallFiles, runDirectory: string, saved: SavedSession): Promise<void> {
  return files.replace(`${runDirectory}/${RUN_SESSION}`, `${JSON.stringify(saved)}\n`)
}

/** null where there is none, or what is there is not one. */
export async function loadSession(files: SmallFiles, runDirectory: string): Promise<SavedSession | null> {
  const text = await files.read(`${runDirectory}/${RUN_SESSION}`)
  if (text === null) return null
  try {
    const saved = JSON.parse(text) as Partial<SavedSession>
    const known = saved.channelKind === 'epoll' || saved.channelKind === 'readers'
    return known && typeof saved.session?.sessionHex === 'string' ? (saved as SavedSession) : null
  } catch {
    return null
  }
}
