// Records for tests of the register and of the protocol: a valid one to start from, and an arbitrary valid one.
import fc from 'fast-check'
import { type Member, NO_LOG_UUID, PHASES, type RegisterRecord } from '../../../../csi-driver/register/record.ts'
import type { RegisterIntent } from '../../../../csi-driver/register/settlement.ts'

export const NODE = 'node-1'
export const UUID_A = 'a'.repeat(32)
export const UUID_B = 'b'.repeat(32)
export const MEMBER: Member = { node: NODE, storeUuid: 'c'.repeat(32), incarnation: 7 }

/** Name of a log that was created by `epoch`. */
export function logUuidOf(epoch: number, rest = '1'.repeat(16)): string {
  return epoch.toString(16).padStart(16, '0') + rest
}

export function aRecord(changes: Partial<RegisterRecord> = {}): RegisterRecord {
  return {
    formatVersion: 1,
    volume: 'tank',
    volumeUuid: UUID_A,
    registerNonce: 'd'.repeat(32),
    rv: 5,
    changeId: '00000000000000aa',
    epoch: 2,
    owner: NODE,
    logUuid: logUuidOf(2),
    members: [MEMBER],
    phase: 'WriteBack',
    previousPhase: 'Detached',
    dirty: true,
    unfenced: [],
    lastSeq: 1000,
    volumeKey: '0123456789abcdef'.repeat(4),
    backing: { kind: 'block', id: 'wwn-0x5000c500', sizeBytes: 2 ** 30 },
    ...changes,
  }
}

export function anIntent(changes: Partial<RegisterIntent> = {}): RegisterIntent {
  return {
    change: 'set-dirty',
    expectedRv: 5,
    baseEpoch: 2,
    registerNonce: 'd'.repeat(32),
    changeId: '00000000000000ff',
    ...changes,
  }
}

const hex = (digits: number): fc.Arbitrary<string> => fc.stringMatching(new RegExp(`^[0-9a-f]{${digits}}$`, 'u'))
const name = fc.stringMatching(/^[A-Za-z0-9]([A-Za-z0-9._-]{0,20}[A-Za-z0-9])?$/u)
const positive = fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER })

/** Any record that is valid. */
export const anyRecord: fc.Arbitrary<RegisterRecord> = fc
  .record({
    volume: name,
    volumeUuid: hex(32),
    registerNonce: hex(32),
    rv: positive,
    changeId: hex(16),
    epoch: fc.integer({ min: 20, max: 2 ** 40 }),
    owner: name,
    logRest: hex(16),
    members: fc.uniqueArray(fc.record({ node: name, storeUuid: hex(32), incarnation: positive }), {
      maxLength: 4,
      selector: (member) => member.storeUuid,
    }),
    phase: fc.constantFrom(...PHASES),
    previousPhase: fc.constantFrom(...PHASES.filter((phase) => phase !== 'Opening')),
    dirty: fc.boolean(),
    unfenced: fc.uniqueArray(fc.record({ node: name, epoch: fc.integer({ min: 1, max: 19 }) }), {
      maxLength: 8,
      selector: (entry) => entry.epoch,
    }),
    lastSeq: fc.nat({ max: Number.MAX_SAFE_INTEGER }),
    volumeKey: hex(64),
    backing: fc.record({
      kind: fc.constantFrom('block', 'file'),
      id: fc.string({ minLength: 1, maxLength: 60, unit: 'grapheme' }).filter((id) => id.length <= 60),
      sizeBytes: positive,
    }),
  })
  .map(({ logRest, ...fields }): RegisterRecord => {
    const canBeDirty = fields.members.length > 0 && fields.phase !== 'Detached'
    const phase = fields.phase === 'WriteBack' && !canBeDirty ? 'WriteThrough' : fields.phase
    const dirty = phase === 'WriteBack' || (fields.dirty && canBeDirty)
    const logUuid = fields.members.length > 0 ? logUuidOf(fields.epoch, logRest) : NO_LOG_UUID
    return { formatVersion: 1, ...fields, phase, dirty, logUuid }
  })
