// Proves that each change of the register keeps a valid record valid, changes what it says and no more, and refuses by an
// assertion what its rule forbids. Random walks of owners over many opens and closes reach only valid records.
import fc from 'fast-check'
import { AssertionError } from '../../../../base/assert.ts'
import {
  addMember,
  canClaim,
  claim,
  closeClean,
  createVolume,
  degradeMember,
  fenced,
  handOver,
  ownLog,
  removeMember,
  setBackingSize,
  setClean,
  setDirty,
  setPhase,
} from '../../../../csi-driver/protocol/register-transitions.ts'
import type { Member, RegisterRecord } from '../../../../csi-driver/register/record.ts'
import { validateRecord } from '../../../../csi-driver/register/record-validation.ts'
import { anyRecord, aRecord, logUuidOf, MEMBER, NODE } from '../register/records.ts'

const OTHER: Member = { node: 'node-2', storeUuid: 'e'.repeat(32), incarnation: 1 }

function expectValid(record: RegisterRecord): void {
  expect(validateRecord(record)).toEqual({ record })
}

test('a created volume is owned, clean and has no log', () => {
  const record = createVolume({ ...aRecord(), node: NODE, epochAtLeast: 4 })
  expectValid(record)
  expect(record).toMatchObject({ epoch: 4, phase: 'Opening', dirty: false, members: [], owner: NODE })
  expect(createVolume({ ...aRecord(), node: NODE }).epoch).toBe(1)
})

describe('claim', () => {
  test('takes the next epoch, lists the predecessor, keeps members and log (S1)', () => {
    const record = aRecord()
    const claimed = claim(record, { node: 'node-2' })
    expect(claimed).toEqual({
      ...record,
      epoch: 3,
      owner: 'node-2',
      phase: 'Opening',
      previousPhase: 'WriteBack',
      unfenced: [{ node: NODE, epoch: 2 }],
    })
    expectValid(claimed)
  })

  test('a settled close leaves nobody to fence', () => {
    expect(claim(aRecord({ phase: 'Detached', dirty: false }), { node: NODE }).unfenced).toEqual([])
  })

  test('a claim over a claim keeps the phase before the first', () => {
    const twice = claim(claim(aRecord({ phase: 'DrainWT' }), { node: 'node-2' }), { node: NODE })
    expect(twice).toMatchObject({ previousPhase: 'DrainWT', epoch: 4, dirty: true })
    // The own lock, held by whoever claims, vouches for the own node's earlier engines.
    expect(twice.unfenced).toEqual([{ node: 'node-2', epoch: 3 }])
  })

  test('the epoch passes that of a log that was given up', () => {
    expect(claim(aRecord(), { node: NODE, epochAtLeast: 9 }).epoch).toBe(9)
    expect(claim(aRecord(), { node: NODE, epochAtLeast: 1 }).epoch).toBe(3)
  })

  test('repeated crashes of one node never fill the list, those of others do', () => {
    let own = aRecord()
    for (let i = 0; i < 30; i++) own = claim(own, { node: NODE })
    expect(own.unfenced.at(-1)).toEqual({ node: NODE, epoch: 31 })
    expectValid(own)
    const unfenced = [...Array(8).keys()].map((epoch) => ({ node: 'node-9', epoch: epoch + 1 }))
    const full = aRecord({ epoch: 10, unfenced })
    expect(canClaim(full, NODE)).toBe(false)
    expect(() => claim(full, { node: NODE })).toThrow(AssertionError)
  })
})

describe('fencing', () => {
  const record = claim(
    aRecord({
      epoch: 5,
      unfenced: [
        { node: NODE, epoch: 1 },
        { node: 'node-2', epoch: 3 },
      ],
    }),
    { node: NODE },
  )

  test('the lock is evidence against every engine of its own node and no other', () => {
    expect(fenced(record, { node: NODE, epoch: 5 }, 'lock').unfenced).toEqual([{ node: 'node-2', epoch: 3 }])
    expect(() => fenced(record, { node: 'node-2', epoch: 3 }, 'lock')).toThrow(AssertionError)
  })

  test('other evidence removes its one entry', () => {
    expect(fenced(record, { node: 'node-2', epoch: 3 }, 'off').unfenced).toHaveLength(1)
    expect(() => fenced(record, { node: NODE, epoch: 2 }, 'off')).toThrow(AssertionError)
  })
})

describe('own log (S5)', () => {
  const dirty = fenced(claim(aRecord(), { node: NODE }), { node: NODE, epoch: 2 }, 'lock')
  const clean = claim(aRecord({ phase: 'Detached', dirty: false }), { node: NODE })
  const log = { logUuid: logUuidOf(3), members: [MEMBER], phase: 'WriteBack', lastSeq: 1000 } as const

  test('dirty unless write-through over a clean open', () => {
    expect(ownLog(dirty, log)).toMatchObject({ dirty: true, phase: 'WriteBack', logUuid: logUuidOf(3) })
    expect(ownLog(dirty, { ...log, phase: 'WriteThrough' }).dirty).toBe(true)
    expect(ownLog(clean, { ...log, phase: 'WriteThrough', lastSeq: 0 }).dirty).toBe(false)
    expect(ownLog(clean, log).dirty).toBe(true)
  })

  test.each([
    ['somebody is unfenced', claim(aRecord(), { node: NODE }), log],
    ['the log is of another epoch', dirty, { ...log, logUuid: logUuidOf(2) }],
    ['it was not claimed', aRecord(), log],
    ['nobody holds it', dirty, { ...log, members: [] }],
    ['a reachable old member is left out', dirty, { ...log, members: [OTHER] }],
    ['the log is shorter than registered (5.4)', dirty, { ...log, lastSeq: 999 }],
  ])('is refused when %s', (_name, record, options) => {
    expect(() => ownLog(record, options)).toThrow(AssertionError)
  })

  test('old members may be missing when they are unreachable or given up', () => {
    expectValid(ownLog(dirty, { ...log, members: [OTHER], unreachable: [MEMBER] }))
    const given = ownLog(dirty, { ...log, members: [OTHER], lossAccepted: true, lastSeq: 0, phase: 'WriteThrough' })
    expect(given).toMatchObject({ dirty: false, lastSeq: 0 })
    expectValid(given)
  })
})

describe('phases and dirty', () => {
  test('write-back is dirty, the end of a drain is not', () => {
    const through = aRecord({ phase: 'WriteThrough', dirty: false })
    expect(setPhase(through, { phase: 'WriteBack', dirty: true })).toMatchObject({ phase: 'WriteBack', dirty: true })
    expect(() => setPhase(through, { phase: 'WriteBack', dirty: false })).toThrow(AssertionError)
    const drained = setPhase(aRecord({ phase: 'DrainWT' }), { phase: 'WriteThrough', dirty: false, lastSeq: 2000 })
    expect(drained).toMatchObject({ dirty: false, lastSeq: 2000 })
    expect(() => setPhase(aRecord(), { phase: 'WriteThrough', dirty: true })).toThrow(AssertionError)
  })

  test('dirty is set while serving, cleared outside write-back', () => {
    expect(setDirty(aRecord({ phase: 'WriteThrough', dirty: false })).dirty).toBe(true)
    expect(() => setDirty(aRecord({ phase: 'Closing', dirty: false }))).toThrow(AssertionError)
    expect(setClean(aRecord({ phase: 'DrainWT' }), { lastSeq: 1500 })).toMatchObject({ dirty: false, lastSeq: 1500 })
    expect(() => setClean(aRecord(), { lastSeq: 1500 })).toThrow(AssertionError)
    expect(() => setClean(aRecord({ phase: 'DrainWT' }), { lastSeq: 1 })).toThrow(AssertionError)
  })

  test('a close ends clean and detached, and only from Closing', () => {
    const closed = closeClean(aRecord({ phase: 'Closing' }), { lastSeq: 1001 })
    expect(closed).toMatchObject({ phase: 'Detached', dirty: false, owner: NODE })
    expectValid(closed)
    expect(() => closeClean(aRecord(), { lastSeq: 1001 })).toThrow(AssertionError)
  })
})

test('members come and go, the last stays', () => {
  const two = addMember(aRecord(), OTHER)
  expect(two.members).toEqual([MEMBER, OTHER])
  expect(() => addMember(two, OTHER)).toThrow(AssertionError)
  const one = removeMember(two, MEMBER)
  expect(one.members).toEqual([OTHER])
  expect(() => removeMember(one, OTHER)).toThrow(AssertionError)
  expect(() => removeMember(two, { ...OTHER, incarnation: 9 })).toThrow(AssertionError)
})

test('a member goes and the phase with it, in one change', () => {
  const two = addMember(aRecord(), OTHER)
  expect(degradeMember(two, OTHER, { drain: true })).toMatchObject({ members: [MEMBER], phase: 'DrainWT', dirty: true })
  expect(degradeMember(two, OTHER, { drain: false })).toMatchObject({ members: [MEMBER], phase: 'WriteBack' })
})

test('a hand-over is the next epoch of a node that holds a copy, with the old owner to be fenced (6)', () => {
  const two = addMember(aRecord({ lastSeq: 7 }), OTHER)
  const handed = handOver(two, { to: 'node-2', lastSeq: 9 })
  expect(handed).toEqual({ ...two, epoch: 3, owner: 'node-2', lastSeq: 9, unfenced: [{ node: NODE, epoch: 2 }] })
  expectValid(handed)
  expect(() => handOver(two, { to: 'node-3', lastSeq: 9 })).toThrow(AssertionError)
  expect(() => handOver(two, { to: NODE, lastSeq: 9 })).toThrow(AssertionError)
  expect(() => handOver({ ...two, phase: 'Closing' }, { to: 'node-2', lastSeq: 9 })).toThrow(AssertionError)
})

test('a volume grows and never shrinks', () => {
  expect(setBackingSize(aRecord(), 2 ** 31).backing.sizeBytes).toBe(2 ** 31)
  expect(() => setBackingSize(aRecord(), 2 ** 20)).toThrow(AssertionError)
})

test('any claim on any valid record is valid', () => {
  fc.assert(
    fc.property(anyRecord, fc.constantFrom('node-1', 'node-2'), (record, node) => {
      if (canClaim(record, node)) expectValid(claim(record, { node }))
    }),
  )
})

test('random walks over all changes reach only valid records', () => {
  const steps: ((record: RegisterRecord) => RegisterRecord)[] = [
    (record) => claim(record, { node: NODE }),
    (record) => fenced(record, record.unfenced[0]!, 'lock'),
    (record) =>
      ownLog(record, {
        logUuid: logUuidOf(record.epoch),
        members: [MEMBER],
        phase: 'WriteBack',
        lastSeq: record.lastSeq,
      }),
    (record) =>
      ownLog(record, {
        logUuid: logUuidOf(record.epoch),
        members: [MEMBER],
        phase: 'WriteThrough',
        lastSeq: record.lastSeq,
      }),
    (record) => setPhase(record, { phase: 'DrainWT', dirty: true }),
    (record) => setPhase(record, { phase: 'WriteThrough', dirty: false, lastSeq: record.lastSeq + 1 }),
    (record) => setPhase(record, { phase: 'WriteBack', dirty: true }),
    (record) => setPhase(record, { phase: 'Closing', dirty: record.dirty }),
    (record) => setPhase(record, { phase: 'Blocked', dirty: true }),
    (record) => closeClean(record, { lastSeq: record.lastSeq }),
    setDirty,
    (record) => setClean(record, { lastSeq: record.lastSeq }),
  ]
  fc.assert(
    fc.property(fc.array(fc.nat({ max: steps.length - 1 }), { maxLength: 60 }), (walk) => {
      let record = createVolume({ ...aRecord(), node: NODE })
      for (const step of walk) {
        try {
          record = steps[step]!(record)
        } catch (error) {
          // What a rule forbids is refused; anything else is a mistake. (An empty list has no first entry to fence.)
          if (!(error instanceof AssertionError) && !(error instanceof TypeError)) throw error
          continue
        }
        expectValid(record)
      }
    }),
  )
})
