// `forebay stop`: drains, detaches, closes clean, and returns when the holder has gone too.
import { CacheError } from '../../base/errors.ts'
import {
  defineCommand,
  EXIT_FAILED,
  EXIT_INTERRUPTED,
  EXIT_OK,
  EXIT_REFUSED,
  stateDirSchema,
  volumePositional,
} from './command.ts'
import { processIsAlive } from './process-alive.ts'
import { pause } from './terminal.ts'
import { connectVolume, readStatus, stateDirectoryOf, waitForVolume } from './volume-call.ts'

/** A holder that has lost its engine only has to clean up: a second, with a busy machine. */
const HOLDER_EXIT_WAIT_MS = 30_000
const POLL_MS = 50
const WAITING_STEP = 'waiting for the device to be released'

export const stopCommand = defineCommand({
  name: 'stop',
  summary: 'Drain a volume, detach its device and close it clean',
  positionals: [volumePositional],
  schema: stateDirSchema,
  description: [
    'Switches to write-through at once, drains, and detaches the device. While somebody has the device open, the command says who (mount point, process), and the volume is served on until it is released.',
    'When the command returns the volume can be served again at once, here or elsewhere, and the backing can be used without Forebay.',
    'Ctrl-C ends only the waiting: the volume goes on stopping. A second SIGTERM or Ctrl-C to `forebay serve` stops it at once with dirty data kept safe in the cache.',
  ],
  exits: [
    [EXIT_OK, 'stopped and clean'],
    [EXIT_FAILED, 'it could not be stopped clean, and says why'],
    [EXIT_REFUSED, 'bad input, or the volume is not served here'],
    [EXIT_INTERRUPTED, 'no longer waiting'],
  ],
  examples: [['umount /mnt/db && forebay stop db1', 'Put a volume out of use:']],
  async run({ positionals, settings, terminal }) {
    const [volume = ''] = positionals
    const target = { volume, stateDirectory: stateDirectoryOf(settings.stateDir), terminal }
    const client = await connectVolume(target)
    const { holderPid, dirtyBytes, openBy } = await readStatus(client)
    const waited = await waitForVolume(target, client, {
      call: { method: 'stop' },
      label: `stop ${volume}`,
      before: { step: openBy.length > 0 ? WAITING_STEP : 'stopping', dirtyBytes, openBy },
      onInterrupt: `no longer waiting; volume=${volume} goes on stopping`,
    })
    client.close()
    if ('status' in waited) return waited.status
    if (holderPid !== null) await waitForHolder(volume, holderPid, terminal.interrupted)
    terminal.out(`stopped volume=${volume}\n`)
    return EXIT_OK
  },
})

/** Until the holder of a volume that is closed has gone. */
export async function waitForHolder(volume: string, pid: number, interrupted: AbortSignal): Promise<void> {
  const deadline = performance.now() + HOLDER_EXIT_WAIT_MS
  for (;;) {
    if (!processIsAlive(pid) || interrupted.aborted) return
    if (performance.now() > deadline) {
      throw new CacheError(
        'unknown-outcome',
        'CACHE_HOLDER_STAYS',
        `volume is closed but its holder still runs volume=${volume} pid=${pid}`,
        {
          remedy: 'The backing holds everything. Look at the output of `forebay serve`.',
        },
      )
    }
    // One look after the other is the point.
    // oxlint-disable-next-line eslint/no-await-in-loop
    await pause(POLL_MS, interrupted)
  }
}
