// Proves that writes which a failed flush may have dropped are answered for by exactly one flush of the user, and that
// the device never stops passing flushes on while an answer is owed.
import { IoError } from '../../../../base/errors.ts'
import type { BackingStore } from '../../../../csi-driver/backing/backing-store.ts'
import { UnflushedWrites } from '../../../../csi-driver/engine/unflushed-writes.ts'
import { RememberedDoubts } from '../../../sim/remembered-doubts.ts'
import type { IoDone } from '../../../../csi-driver/io/storage.ts'

class FlushingBacking {
  name = 'backing'
  flushGeneration = 0
  fails = false
  onFlushFailed: (() => void) | null = null

  flush(done: IoDone): void {
    if (!this.fails) {
      done(null)
      return
    }
    this.flushGeneration += 1
    this.onFlushFailed?.()
    done(new IoError('EIO', 'planned'))
  }
}

function outcome(call: (done: IoDone) => void): 'ok' | 'error' {
  let result: 'ok' | 'error' = 'ok'
  call((error) => {
    result = error === null ? 'ok' : 'error'
  })
  return result
}

function setUp(doubts = new RememberedDoubts()): {
  backing: FlushingBacking
  writes: UnflushedWrites
  flush: () => string
  settle: () => string
} {
  const backing = new FlushingBacking()
  const writes = new UnflushedWrites(backing as unknown as BackingStore, doubts)
  return {
    backing,
    writes,
    flush: () => outcome((done) => writes.flush(done)),
    settle: () => outcome((done) => writes.settle(done)),
  }
}

describe('writes acknowledged without a flush', () => {
  test('are covered by a flush that succeeds', () => {
    const { writes, flush, settle } = setUp()
    writes.note()
    expect(writes.any).toBe(true)
    expect(flush()).toBe('ok')
    writes.note()
    expect(settle()).toBe('ok')
    expect(writes.any).toBe(false)
  })

  test('whose flush failed for somebody else fail one flush of the user', () => {
    const { backing, writes, flush } = setUp()
    writes.note()
    backing.fails = true
    backing.flush(() => undefined)
    backing.fails = false
    expect(flush()).toBe('error')
    expect(flush()).toBe('ok')
  })

  test('that were dropped keep the device passing flushes on until the user has heard of it', () => {
    const { backing, writes, flush, settle } = setUp()
    writes.note()
    backing.fails = true
    backing.flush(() => undefined)
    backing.fails = false
    expect(settle()).toBe('error')
    expect(settle()).toBe('error')
    expect(writes.any).toBe(true)
    expect(flush()).toBe('error')
    expect(settle()).toBe('ok')
  })
})

test('what an engine could not tell its users any more, the next one tells them, once', () => {
  const doubts = new RememberedDoubts()
  const dying = setUp(doubts)
  dying.writes.note()
  dying.backing.fails = true
  // A flush of destage: the users have heard of nothing yet.
  dying.backing.flush(() => undefined)
  expect(doubts.has('flush')).toBe(true)
  const next = setUp(doubts)
  expect([next.writes.any, next.settle(), next.flush(), next.flush()]).toEqual([true, 'error', 'error', 'ok'])
  expect([doubts.has('flush'), setUp(doubts).flush()]).toEqual([false, 'ok'])
})

test('a failed flush with nothing acknowledged before it is nobody else’s business', () => {
  const doubts = new RememberedDoubts()
  const { backing } = setUp(doubts)
  backing.fails = true
  backing.flush(() => undefined)
  expect(doubts.has('flush')).toBe(false)
})
