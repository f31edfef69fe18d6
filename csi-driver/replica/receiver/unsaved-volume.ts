// A volume that an engine has named in its HELLO and that the store knows nothing of yet: it lives as long as an engine
// of it is connected, so that a name alone costs no room on the disk. Its first LEARN makes it, with its key, for good.
// Nobody can be listed as a member before that, so nothing is lost with it: no promise is kept for a log that never was.
import { CacheError } from '../../../base/errors.ts'
import type { BodyInMemory } from '../wire/messages.ts'
import type { VolumeState } from '../../protocol/stored-log.ts'
import type { HeldStore, HeldVolume, NewVolume, StoreDone } from './store-port.ts'

type Update = Parameters<HeldVolume['update']>[0]
type Learn = Parameters<HeldVolume['learn']>[0]

export class UnsavedVolume implements HeldVolume {
  readonly volume: string
  readonly volumeUuid: string
  readonly volumeKey: Buffer
  readonly createdBy: string
  /** As the engine is told; the volume must come to be in the same life of the store. */
  readonly incarnation: number
  readonly logBytesReserved = 0
  readonly lossReason = null
  state: VolumeState = { promise: 0, epoch: 0, run: 0, log: null }
  private readonly store: HeldStore
  private readonly identity: NewVolume
  private readonly onSaved: (saved: HeldVolume) => void

  /** `onSaved`: the volume is in the store; this one is not used any more. */
  constructor(store: HeldStore, identity: NewVolume, onSaved: (saved: HeldVolume) => void) {
    this.volume = identity.volume
    this.volumeUuid = identity.volumeUuid
    this.volumeKey = identity.volumeKey
    this.createdBy = identity.createdBy
    this.incarnation = store.incarnation
    this.store = store
    this.identity = identity
    this.onSaved = onSaved
  }

  update({ pending: _pending, ...numbers }: Update, done: StoreDone): void {
    this.state = { ...this.state, ...numbers }
    done(null)
  }

  /** Promise and run become durable with the log. */
  learn(log: Learn, done: StoreDone): void {
    this.store.create(this.identity, (error, saved) => {
      if (saved === null) return done(error)
      this.onSaved(saved)
      if (saved.incarnation === this.incarnation) saved.learn(log, done)
      else done(new CacheError('retry', 'CACHE_STORE_LIFE', 'another life of the store has begun; connect again'))
    })
  }

  append(_body: BodyInMemory, done: StoreDone): void {
    done(nothingHere())
  }

  trim(_batchSeq: number, done: StoreDone): void {
    done(nothingHere())
  }

  promote(_logUuid: string, done: StoreDone): void {
    done(nothingHere())
  }

  headerHashOf(): null {
    return null
  }

  read(_batchSeq: number, _into: Buffer, done: (error: Error, body: null) => void): void {
    done(nothingHere(), null)
  }

  discard(done: StoreDone): void {
    done(null)
  }
}

/** The tables refuse such orders before; this is for whoever changes them. */
function nothingHere(): CacheError {
  return new CacheError('invalid', 'CACHE_STORE_NOT_HELD', 'no log of the volume is here')
}
