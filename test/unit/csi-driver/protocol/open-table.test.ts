// Proves that the three tables of an open decide every combination of facts by exactly one row; that no combination loses
// dirty data without the flag that says so; and that the messages carry values and a remedy. All combinations are walked.
import { combinationsOf, decide, type FactDomain } from '../../../../csi-driver/protocol/decision-table.ts'
import type {
  BackingFacts,
  CacheFacts,
  ForebayCache,
  OpenInput,
  PredecessorFacts,
} from '../../../../csi-driver/protocol/open-facts.ts'
import { BACKING_ROWS, CACHE_ROWS, openDecision, PREDECESSOR_ROWS } from '../../../../csi-driver/protocol/open-table.ts'
import { refusalText } from '../../../../csi-driver/protocol/open-messages.ts'
import type { RegisterRecord } from '../../../../csi-driver/register/record.ts'
import { anIntent, aRecord, logUuidOf, MEMBER, NODE, UUID_B } from '../register/records.ts'
import { idleOrDouble, undecided } from './tables.ts'

const PREDECESSORS: FactDomain<PredecessorFacts> = {
  predecessor: ['none', 'closed', 'own-node', 'other-node'],
  takeover: [false, true],
}
const CACHES: FactDomain<CacheFacts> = {
  register: ['absent', 'clean', 'dirty'],
  cache: ['unused', 'foreign', 'damaged', 'this-clean', 'this-dirty', 'other-clean', 'other-dirty'],
  history: ['consistent', 'log-newer', 'register-replaced'],
  store: ['listed', 'not-listed'],
  log: ['known', 'unknown'],
  otherCopies: ['listed', 'none'],
  formatCache: [false, true],
  lossAccepted: [false, true],
}
const BACKINGS: FactDomain<BackingFacts> = {
  holds: ['nothing', 'dirty'],
  change: ['none', 'content', 'larger', 'identity', 'smaller'],
  backingChanged: ['none', 'replay', 'discard-cache'],
}

describe('tables', () => {
  test('every combination of facts has exactly one row', () => {
    expect(undecided(PREDECESSOR_ROWS, PREDECESSORS)).toEqual([])
    expect(undecided(CACHE_ROWS, CACHES)).toEqual([])
    expect(undecided(BACKING_ROWS, BACKINGS)).toEqual([])
  })

  test('every row is reached and labels are unique', () => {
    expect(idleOrDouble(PREDECESSOR_ROWS, PREDECESSORS)).toEqual([])
    expect(idleOrDouble(CACHE_ROWS, CACHES)).toEqual([])
    expect(idleOrDouble(BACKING_ROWS, BACKINGS)).toEqual([])
  })

  test('a cache with dirty data of another volume is never formatted', () => {
    for (const facts of combinationsOf({ ...CACHES, cache: ['other-dirty'] })) {
      expect(decide(CACHE_ROWS, facts).then).toHaveProperty('no')
    }
  })

  test('without --accept-data-loss a dirty volume is gathered or blocked, and no dirty cache is formatted', () => {
    for (const facts of combinationsOf({ ...CACHES, lossAccepted: [false] })) {
      const { then } = decide(CACHE_ROWS, facts)
      if ('no' in then) continue
      if (facts.register === 'dirty') expect(then.go).toBe('open-gather')
      expect(facts.cache).not.toBe('damaged')
      // What the register counts on is never overwritten; what it counts on no more, where others hold it.
      if (facts.cache === 'this-dirty' && then.formatCache) {
        expect(facts).toMatchObject({ store: 'not-listed', otherCopies: 'listed' })
      }
    }
  })

  test('with --accept-data-loss what can be gathered still is', () => {
    const gatherable = {
      ...CACHES,
      register: ['dirty'],
      cache: ['this-dirty'],
      history: ['consistent'],
      store: ['listed'],
      log: ['known'],
    } as const
    for (const facts of combinationsOf<CacheFacts>(gatherable))
      expect(decide(CACHE_ROWS, facts).then).toMatchObject({ go: 'open-gather' })
  })

  test('a changed backing needs its flag, and only discard-cache drops anything', () => {
    const decided = [...combinationsOf(BACKINGS)].map((facts) => ({ ...facts, then: decide(BACKING_ROWS, facts).then }))
    const unflagged = decided.filter(({ change, backingChanged }) => change !== 'none' && backingChanged === 'none')
    expect(unflagged.filter(({ then }) => typeof then !== 'object')).toEqual([])
    expect(
      decided.filter(({ then, backingChanged }) => then === 'discard' && backingChanged !== 'discard-cache'),
    ).toEqual([])
    expect(decided.filter(({ change, then }) => change === 'none' && then !== 'as-it-is')).toEqual([])
  })
})

const DIRTY = aRecord({ dirty: true, phase: 'WriteBack', epoch: 4, rv: 20, logUuid: logUuidOf(4) })
const CLOSED = aRecord({ dirty: false, phase: 'Detached', epoch: 4, rv: 22, logUuid: logUuidOf(4) })

function cacheOf(settled: RegisterRecord | null, changes: Partial<ForebayCache> = {}): ForebayCache {
  const { volume, volumeUuid, registerNonce, epoch, logUuid } = settled ?? DIRTY
  const { storeUuid, incarnation } = MEMBER
  const logUuids = [logUuid]
  return {
    kind: 'forebay',
    volume,
    volumeUuid,
    registerNonce,
    storeUuid,
    incarnation,
    epoch,
    logUuids,
    settled,
    intent: null,
    ...changes,
  }
}

function input(record: RegisterRecord | null, changes: Partial<OpenInput> = {}): OpenInput {
  return {
    volume: 'tank',
    node: NODE,
    cachePath: '/cache/tank',
    backingPath: '/dev/sdb',
    record,
    cache: cacheOf(record),
    backing: { identity: (record ?? DIRTY).backing, edges: 'same' },
    formatCache: false,
    acceptDataLoss: null,
    backingChanged: 'none',
    ...changes,
  }
}

describe('openDecision', () => {
  test('a new volume is created on an unused cache', () => {
    expect(openDecision(input(null, { cache: { kind: 'absent' } }))).toEqual({
      kind: 'create-volume',
      labels: ['nobody-before', 'new-volume', 'same-backing'],
      formatCache: true,
      takeBacking: false,
      epochAtLeast: 1,
    })
  })

  test('a creation that was never settled is tried again', () => {
    const cache = cacheOf(null, { intent: anIntent({ expectedRv: 0 }) })
    expect(openDecision(input(null, { cache }))).toMatchObject({ kind: 'create-volume' })
  })

  test('a closed volume opens clean, after a crash it gathers', () => {
    expect(openDecision(input(CLOSED))).toMatchObject({ kind: 'open-clean', formatCache: false })
    expect(openDecision(input(DIRTY))).toMatchObject({ kind: 'open-gather', formatCache: false, takeBacking: false })
  })

  test('a promoted pending log is known by its name', () => {
    const cache = cacheOf(DIRTY, { logUuids: [logUuidOf(3), logUuidOf(4)] })
    expect(openDecision(input(DIRTY, { cache })).kind).toBe('open-gather')
    expect(openDecision(input(DIRTY, { cache: cacheOf(DIRTY, { logUuids: [logUuidOf(3)] }) }))).toMatchObject({
      code: 'CACHE_LOG_MISSING',
    })
  })

  test.each([
    ['another incarnation', { incarnation: MEMBER.incarnation + 1 }, 'CACHE_STALE'],
    ['another store', { storeUuid: UUID_B }, 'CACHE_STALE'],
    ['a newer epoch', { epoch: 5 }, 'CACHE_REGISTER_WENT_BACK'],
    ['a newer version', { settled: { ...DIRTY, rv: 21 } }, 'CACHE_REGISTER_WENT_BACK'],
    ['another register', { registerNonce: UUID_B }, 'CACHE_REGISTER_REPLACED'],
    ['another volume', { volumeUuid: UUID_B, volume: 'other' }, 'CACHE_OF_OTHER_VOLUME_DIRTY'],
  ])('a cache with %s does not open', (_name, changes, code) => {
    expect(openDecision(input(DIRTY, { cache: cacheOf(DIRTY, changes) }))).toMatchObject({ code })
  })

  test('another node that has not closed is not claimed over, whatever the flags say', () => {
    const record = { ...DIRTY, owner: 'node-2' }
    const flags = { formatCache: true, acceptDataLoss: 'tank', backingChanged: 'discard-cache' } as const
    const decision = openDecision(input(record, flags))
    expect(decision).toMatchObject({ kind: 'refuse', code: 'CACHE_OWNED_ELSEWHERE' })
    expect(decision).toMatchObject({ message: expect.stringContaining('otherNode=node-2') })
    expect(openDecision(input({ ...CLOSED, owner: 'node-2' })).kind).toBe('open-clean')
    expect(openDecision(input({ ...CLOSED, unfenced: [{ node: 'node-2', epoch: 2 }] }))).toMatchObject({
      code: 'CACHE_OWNED_ELSEWHERE',
    })
  })

  test('another node is taken over only where the user says so, and only what the register knows', () => {
    const record = { ...DIRTY, owner: 'node-2' }
    expect(openDecision(input(record))).toMatchObject({ remedy: expect.stringContaining('forebay takeover tank') })
    expect(openDecision(input(record, { takeover: true }))).toMatchObject({ kind: 'open-gather' })
    expect(openDecision(input(null, { takeover: true, cache: { kind: 'absent' } }))).toMatchObject({
      code: 'CACHE_NOTHING_TO_TAKE_OVER',
    })
  })

  test('dirty data is gathered from other copies where the own cache does not have it, and is never formatted over', () => {
    const member = { node: 'node-2', storeUuid: UUID_B, incarnation: 1 }
    const record = { ...DIRTY, members: [member] }
    const own = cacheOf(DIRTY)
    const absent = { kind: 'absent' } as const
    const foreign = { kind: 'foreign' } as const
    const decide = (changes: Partial<OpenInput>) => openDecision(input(record, { storeNodes: ['node-2'], ...changes }))
    expect(decide({ cache: absent })).toMatchObject({ kind: 'open-gather', formatCache: true })
    expect(decide({ cache: own })).toMatchObject({ kind: 'open-gather', formatCache: true })
    expect(decide({ cache: foreign })).toMatchObject({ code: 'CACHE_FOREIGN_CONTENT' })
    expect(decide({ cache: foreign, formatCache: true })).toMatchObject({ kind: 'open-gather' })
    expect(decide({ cache: cacheOf(DIRTY, { volumeUuid: UUID_B }), formatCache: true })).toMatchObject({
      code: 'CACHE_OF_OTHER_VOLUME_DIRTY',
    })
    // Without an address for that node nothing can be gathered; the text names the node.
    const alone = decide({ cache: absent, storeNodes: [] })
    expect(alone).toMatchObject({ code: 'CACHE_DIRTY_ELSEWHERE', remedy: expect.stringContaining('--peer') })
    expect(alone).toMatchObject({ remedy: expect.stringContaining('(node-2)') })
  })

  test('--accept-data-loss must name the volume, and then goes past what is blocked', () => {
    const cache = { kind: 'empty' } as const
    expect(openDecision(input(DIRTY, { cache }))).toMatchObject({ kind: 'blocked', code: 'CACHE_DIRTY_ELSEWHERE' })
    expect(openDecision(input(DIRTY, { cache, acceptDataLoss: 'pond' }))).toMatchObject({
      code: 'CACHE_ACCEPT_DATA_LOSS_NAME',
    })
    expect(openDecision(input(DIRTY, { cache, acceptDataLoss: 'tank' }))).toMatchObject({
      kind: 'open-discard',
      formatCache: true,
    })
  })

  test('the epoch is larger than that of a log that is given up', () => {
    const decision = openDecision(input(DIRTY, { cache: cacheOf(DIRTY, { epoch: 9 }), acceptDataLoss: 'tank' }))
    expect(decision).toMatchObject({ kind: 'open-discard', epochAtLeast: 10 })
  })

  test('a register that is gone is not made anew over its cache', () => {
    expect(openDecision(input(null, { cache: cacheOf(DIRTY) }))).toMatchObject({
      kind: 'blocked',
      code: 'CACHE_REGISTER_MISSING',
    })
    expect(openDecision(input(null, { cache: cacheOf(DIRTY), formatCache: true }))).toMatchObject({ kind: 'blocked' })
    expect(openDecision(input(null, { cache: cacheOf(CLOSED) }))).toMatchObject({
      kind: 'refuse',
      code: 'CACHE_REGISTER_MISSING',
    })
    expect(openDecision(input(null, { cache: cacheOf(CLOSED), formatCache: true }))).toMatchObject({
      kind: 'create-volume',
    })
  })

  test.each([
    ['larger', { sizeBytes: 2 ** 31 }, 'CACHE_BACKING_LARGER', 'open-gather'],
    ['smaller', { sizeBytes: 2 ** 20 }, 'CACHE_BACKING_SMALLER', 'refuse'],
    ['another', { id: 'serial-2' }, 'CACHE_BACKING_OTHER', 'open-gather'],
  ])('a backing that is %s is refused without its flag', (_name, changes, code, replay) => {
    const backing = { identity: { ...DIRTY.backing, ...changes }, edges: 'same' } as const
    expect(openDecision(input(DIRTY, { backing }))).toMatchObject({ kind: 'refuse', code })
    expect(openDecision(input(CLOSED, { backing }))).toMatchObject({ kind: 'refuse', code })
    expect(openDecision(input(DIRTY, { backing, backingChanged: 'replay' })).kind).toBe(replay)
    const discard = openDecision(input(DIRTY, { backing, backingChanged: 'discard-cache' }))
    expect(discard).toMatchObject({ kind: 'open-discard', formatCache: true, takeBacking: true })
  })

  test('a backing written to by somebody else matters only while something is dirty', () => {
    const backing = { identity: DIRTY.backing, edges: 'changed' } as const
    expect(openDecision(input(DIRTY, { backing }))).toMatchObject({ kind: 'refuse', code: 'CACHE_BACKING_CHANGED' })
    expect(openDecision(input(CLOSED, { backing }))).toMatchObject({ kind: 'open-clean', takeBacking: false })
  })

  test('every refusal has values, a remedy that is a sentence, and says what is at stake where something is', () => {
    const codes = [...PREDECESSOR_ROWS, ...CACHE_ROWS, ...BACKING_ROWS].flatMap(({ then }) =>
      typeof then === 'object' && 'no' in then ? [then] : [],
    )
    for (const { no, code } of codes) {
      const { message, remedy } = refusalText(code, input(DIRTY, { atStake: { dirtyBytes: 8192, ageMs: 61_000 } }))
      expect(message).toMatch(/^(?!.*undefined)[a-z].* \w+=\S/u)
      expect(remedy).toMatch(/^(?!.*undefined)[A-Z].*\.$/u)
      if (no === 'blocked') expect(`${message} ${remedy}`).toContain('lostBytes=8192 oldestSeconds=61')
    }
    expect(refusalText('CACHE_STALE', input(DIRTY)).remedy).toContain('lostBytes=unknown oldestSeconds=unknown')
  })
})
