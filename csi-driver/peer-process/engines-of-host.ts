// The engines of this host, as the replica store needs them (rule S2): whoever serves the volume with an older epoch is
// asked to end, over its control socket, and says that it has; or the volume's lock, which its holder and every engine
// of it hold, can be taken, which proves that none lives. Nobody is killed, and silence proves nothing.
import { IoError } from '../../base/errors.ts'
import type { EventLog } from '../../base/log.ts'
import type { Epoch, Ms } from '../../base/units.ts'
import { ControlClient } from '../cli/control-client.ts'
import { VOLUME_NAME_PATTERN } from '../config.ts'
import { volumeLockFile } from '../holder/run-directory.ts'
import type { LocalEngines, VolumeHeld } from '../io/local-engines.ts'
import type { Processes } from '../io/process.ts'
import { takeFileLock } from '../io/real/file-lock.ts'
import { controlSocketPath } from '../observe/state-paths.ts'
import { storeProof } from '../observe/store-proof.ts'

/** After it the seal is refused, and may be asked for again. */
const END_LIMIT_MS: Ms = 20_000
/** An engine that does not answer for so long is asked again over a new connection. */
const ANSWER_LIMIT_MS: Ms = 8_000
const POLL_MS: Ms = 200

export interface EnginesOfHostParts {
  readonly processes: Processes
  /** That of the `forebay serve` of this host. */
  readonly stateDirectory: string
  readonly log: EventLog
  /** Shorter, and elsewhere, in tests. */
  readonly limitMs?: Ms
  readonly lockFileOf?: (volume: string) => string
}

type Look = { readonly ended: boolean; readonly found: string }

export class EnginesOfHost implements LocalEngines {
  private readonly parts: EnginesOfHostParts

  constructor(parts: EnginesOfHostParts) {
    this.parts = parts
  }

  endOlder(held: VolumeHeld, epoch: Epoch, done: (error: IoError | null) => void): void {
    this.untilEnded(held, epoch).then(done, (error: unknown) => {
      done(error instanceof IoError ? error : new IoError('EIO', `cannot look for engines here: ${String(error)}`))
    })
  }

  private async untilEnded(held: VolumeHeld, epoch: Epoch): Promise<IoError | null> {
    const { volume } = held
    // Nothing that `serve` would take as a name: no engine of it can be here.
    if (!VOLUME_NAME_PATTERN.test(volume)) return null
    const deadlineMs = performance.now() + (this.parts.limitMs ?? END_LIMIT_MS)
    for (;;) {
      // oxlint-disable-next-line eslint/no-await-in-loop -- one look after the other
      const { ended, found } = await this.look(held, epoch)
      if (ended) {
        this.parts.log.event('peer.engines.none_older', { volume, epoch, found })
        return null
      }
      if (performance.now() > deadlineMs) {
        this.parts.log.event('peer.engines.stay', { volume, epoch, found }, 'warning')
        return new IoError('EBUSY', `an engine of the volume may live on this node volume=${volume} found="${found}"`)
      }
      // oxlint-disable-next-line eslint/no-await-in-loop -- one look after the other
      await new Promise((resolve) => setTimeout(resolve, POLL_MS))
    }
  }

  private async look(held: VolumeHeld, epoch: Epoch): Promise<Look> {
    const answer = await this.ask(held, epoch)
    if (answer.ended) return answer
    const { processes, lockFileOf = volumeLockFile } = this.parts
    const lock = await takeFileLock(processes, lockFileOf(held.volume), false)
    if (lock === 'held') return answer
    // A start at this very moment claims an epoch of its own; it needs no protection from us.
    if (lock !== 'missing') await lock.release()
    return { ended: true, found: 'lock is free' }
  }

  private async ask({ volume, volumeUuid, volumeKey }: VolumeHeld, epoch: Epoch): Promise<Look> {
    let client: ControlClient | null
    try {
      client = await ControlClient.connect(controlSocketPath(this.parts.stateDirectory, volume))
    } catch (error) {
      return { ended: false, found: String(error) }
    }
    if (client === null) return { ended: false, found: 'lock is held, control socket does not answer' }
    try {
      const proof = storeProof(volumeKey, volumeUuid, epoch)
      const call = { method: 'end-older', volumeUuid, epoch, proof } as const
      const result = await client.call(call, { signal: AbortSignal.timeout(ANSWER_LIMIT_MS) })
      const engine = typeof result === 'object' && result !== null && 'engine' in result ? String(result.engine) : ''
      return { ended: ['ended', 'not-older', 'other'].includes(engine), found: `engine says ${engine}` }
    } catch (error) {
      return { ended: false, found: `engine answers: ${error instanceof Error ? error.message : String(error)}` }
    } finally {
      client.close()
    }
  }
}
