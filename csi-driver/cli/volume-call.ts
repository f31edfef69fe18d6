// What the commands about one running volume share: find its engine, wait with progress, end cleanly on Ctrl-C.
import path from 'node:path'
import { CacheError } from '../../base/errors.ts'
import { VOLUME_NAME_PATTERN } from '../config.ts'
import type { ControlCall } from '../observe/control-protocol.ts'
import { controlSocketPath } from '../observe/state-paths.ts'
import type { VolumeStatus } from '../observe/status.ts'
import type { Progress } from '../observe/volume-control.ts'
import { EXIT_INTERRUPTED } from './command.ts'
import { ControlClient } from './control-client.ts'
import { ProgressLine } from './progress-line.ts'
import type { Terminal } from './terminal.ts'

/** Every path below it is built from this form. */
export function stateDirectoryOf(stateDir: string): string {
  return path.resolve(stateDir)
}

export interface VolumeTarget {
  readonly volume: string
  readonly stateDirectory: string
  readonly terminal: Terminal
}

/** The engine of a volume that is served here. Throws CacheError `invalid` when it is not. */
export async function connectVolume(target: Pick<VolumeTarget, 'volume' | 'stateDirectory'>): Promise<ControlClient> {
  const { volume, stateDirectory } = target
  const socket = controlSocketPath(stateDirectory, volume)
  const client = VOLUME_NAME_PATTERN.test(volume) ? await ControlClient.connect(socket) : null
  if (client !== null) return client
  throw new CacheError('invalid', 'CACHE_NOT_SERVED', `volume is not served here volume=${volume} socket=${socket}`, {
    remedy: 'List the volumes with `forebay status`; another --state-dir than that of `serve` shows others.',
  })
}

export async function readStatus(client: ControlClient): Promise<VolumeStatus> {
  return (await client.call({ method: 'status' })) as VolumeStatus
}

export interface WaitOptions {
  readonly call: ControlCall
  /** What is known before the volume says anything new: it may be waiting already, for somebody else's call. */
  readonly before?: Progress
  /** What the progress line begins with. */
  readonly label: string
  /** What holds when the user no longer waits. */
  readonly onInterrupt: string
}

export type WaitResult = { readonly result: unknown } | { readonly status: number }

/** Calls and shows progress. `status` when the user interrupted; throws what the volume answers with. */
export async function waitForVolume(
  target: VolumeTarget,
  client: ControlClient,
  wait: WaitOptions,
): Promise<WaitResult> {
  const { terminal } = target
  const line = new ProgressLine(terminal, wait.label)
  terminal.holdInterrupts()
  if (wait.before !== undefined) line.update(wait.before, performance.now())
  try {
    const result = await client.call(wait.call, {
      signal: terminal.interrupted,
      onProgress: (progress) => line.update(progress, performance.now()),
    })
    return { result }
  } catch (error) {
    if (!terminal.interrupted.aborted) throw error
    line.end()
    terminal.err(`forebay: ${wait.onInterrupt}\n`)
    return { status: EXIT_INTERRUPTED }
  } finally {
    line.end()
  }
}
