// One case of an order: an owner, welcomed, with a log in the store of its peer.
import type { VolumeState } from '../../../../../csi-driver/protocol/stored-log.ts'
import type { Hello, MessageOf } from '../../../../../csi-driver/replica/wire/messages.ts'
import { KEY, logUuidOf, Rig, settle, type TestEngine, TestLog, VOLUME_UUID } from './receiver-kit.ts'

export const NEW_LOG = logUuidOf(2)
export const THE_VOLUME = { volume: 'tank', volumeUuid: VOLUME_UUID, volumeKey: KEY, createdBy: 'node-a' }

export class Case {
  readonly rig: Rig
  readonly log = new TestLog()
  owner: TestEngine

  private constructor(rig: Rig, owner: TestEngine) {
    this.rig = rig
    this.owner = owner
  }

  /** An owner, welcomed; its log has `batches`, or the store has the volume without a log. */
  static async begin(batches: number | 'no-log' = 3): Promise<Case> {
    const rig = await Rig.start()
    if (batches === 'no-log') {
      rig.store.create(THE_VOLUME, () => undefined)
      const again = await Rig.over(rig.store)
      return new Case(again, await again.welcomed())
    }
    const made = new Case(rig, await rig.welcomed())
    made.owner.send(made.log.learn())
    for (let i = 0; i < batches; i++) made.owner.send(made.log.next())
    await settle()
    made.owner.answers.length = 0
    return made
  }

  get state(): VolumeState {
    const held = this.rig.store.find(VOLUME_UUID)
    if (held === null) throw new Error('no such volume')
    return held.state
  }

  async engine(hello: Partial<Hello>): Promise<TestEngine> {
    const engine = await this.rig.welcomed(hello, 'node-b')
    engine.answers.length = 0
    return engine
  }

  /** An opener that asks for the seal. */
  async sealer(predecessorOff: boolean): Promise<TestEngine> {
    const opener = await this.engine({ purpose: 'opener', epoch: 2, run: 1 })
    opener.send({ type: 'SEAL', predecessorOff })
    return opener
  }

  /** Of a PREPARE at the log's end, with changes. */
  prepare(changes: Partial<MessageOf<'PREPARE'>> = {}): MessageOf<'PREPARE'> {
    const { batchSeq, previousHash, logUuid } = this.log
    const end = { lastBatchSeq: batchSeq - 1, lastHash: previousHash }
    return { type: 'PREPARE', authoritativeLogUuid: logUuid, newLogUuid: NEW_LOG, ...end, ...changes }
  }
}
