// Is a batch that has come what its envelope says, of this volume, of this engine, and the next one here? One check per
// volume, re-used; its view stays on the batch that is being written.
import type { BatchSeq } from '../../../base/units.ts'
import { appendDecision, type BatchPlace } from '../../protocol/store-table.ts'
import { EnvelopeView } from '../wire/envelope-view.ts'
import type { EngineLink, Refusal } from './engine-link.ts'
import { refusalOf } from './refusals.ts'
import type { HeldVolume } from './store-port.ts'
import type { AppendOrder } from './volume-host.ts'

export class BatchCheck {
  readonly envelope = new EnvelopeView()
  private readonly volumeUuid: string
  private readonly scratch: Buffer

  constructor(volumeUuid: string, scratch: Buffer) {
    this.volumeUuid = volumeUuid
    this.scratch = scratch
  }

  decide(link: EngineLink, held: HeldVolume, { body }: AppendOrder): 'store' | 'duplicate' | 'drop' | Refusal {
    const { envelope } = this
    const { buffer, start, length } = body
    // The frame reader has found it to be an envelope; what the header says is proven here.
    const read = envelope.read(buffer, start, length)
    const problem = read === 'ok' ? envelope.checkHeader(this.scratch) : read
    if (problem !== 'ok') return { code: 'corrupt', message: `a batch is damaged problem=${problem}` }
    const { batchSeq } = envelope
    if (envelope.volumeUuid !== this.volumeUuid) return bad('a batch is of another volume', batchSeq)
    // Copied batches keep the engine that wrote them; none can be newer than the one that sends.
    if (isNewer(envelope, link)) return bad('a batch is of a newer engine than its sender', batchSeq)
    const { then } = appendDecision(link, held.state, this.place(held, batchSeq))
    if (typeof then === 'object')
      return refusalOf(then, `batchSeq=${batchSeq} last=${held.state.log?.lastBatchSeq ?? -1}`)
    if (then === 'store' && envelope.firstSeq !== (held.state.log?.lastSeq ?? 0) + 1) {
      return bad(`records do not follow firstSeq=${envelope.firstSeq}`, batchSeq)
    }
    return then
  }

  private place(held: HeldVolume, batchSeq: BatchSeq): BatchPlace {
    const { logUuid, previousHash, headerHash } = this.envelope
    return { batchSeq, logUuid, previousHash, headerHash, heldHash: held.headerHashOf(batchSeq) }
  }
}

function isNewer(envelope: EnvelopeView, { epoch, run }: EngineLink): boolean {
  return envelope.epoch > epoch || (envelope.epoch === epoch && envelope.run > run)
}

function bad(what: string, batchSeq: BatchSeq): Refusal {
  return { code: 'bad-message', message: `${what} batchSeq=${batchSeq}` }
}
