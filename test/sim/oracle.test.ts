// Proves what the oracle accepts and refuses: order of acknowledged and concurrent writes, reads that show a write
// before its answer, power cuts over flushed and un-flushed writes, zeros.
import { CONTENT_FOREIGN, CONTENT_ZERO, INITIAL_ID } from './content.ts'
import { Oracle } from './oracle.ts'

class Story {
  readonly oracle = new Oracle(4)
  private now = 0
  private lastId = 0

  write(kind: 'write' | 'zero' = 'write'): number {
    this.oracle.submitted(++this.lastId, kind, 0, 1, ++this.now)
    return this.lastId
  }

  ack(id: number, firm = true): void {
    this.oracle.acknowledged(id, firm, ++this.now)
  }

  read(content: number, firm = true): string {
    const begunAt = ++this.now
    return this.oracle.observed(0, content, begunAt, ++this.now, firm)?.reason ?? 'legal'
  }

  flush(): void {
    this.oracle.madeFirm(++this.now)
  }

  powerCut(): void {
    this.oracle.powerCut(++this.now)
  }

  abandon(): void {
    this.oracle.abandoned(++this.now)
  }

  afterPowerCut(content: number): string {
    return this.oracle.checkAfterPowerCut(0, content, ++this.now)?.reason ?? 'legal'
  }
}

describe('reads', () => {
  test('see the initial content, then an acknowledged write, and never the old one again', () => {
    const story = new Story()
    expect(story.read(INITIAL_ID)).toBe('legal')
    const id = story.write()
    story.ack(id)
    expect(story.read(INITIAL_ID)).toBe('lost')
    expect(story.read(id)).toBe('legal')
  })

  test('of content that nobody wrote are foreign', () => {
    const story = new Story()
    expect(story.read(CONTENT_FOREIGN)).toBe('foreign')
    expect(story.read(99)).toBe('foreign')
    expect(story.read(CONTENT_ZERO)).toBe('foreign')
  })

  test('see either of two concurrent writes, and stay with what was seen', () => {
    const story = new Story()
    const [first, second] = [story.write(), story.write()]
    story.ack(second)
    story.ack(first)
    expect(story.oracle.check(0, second, 100)).toBeNull()
    expect(story.read(first)).toBe('legal')
    expect(story.read(second)).toBe('lost')
    expect(story.read(first)).toBe('legal')
  })

  test('that show a write before its answer bind later reads', () => {
    const story = new Story()
    const id = story.write()
    expect(story.read(id)).toBe('legal')
    expect(story.read(INITIAL_ID)).toBe('unseen')
  })

  test('see no older write re-appear over a newer one', () => {
    const story = new Story()
    const first = story.write()
    expect(story.read(first)).toBe('legal')
    const second = story.write()
    story.ack(second)
    expect(story.read(first)).toBe('lost')
  })

  test('that begin before an acknowledgement may end after it with the old content', () => {
    const story = new Story()
    const id = story.write()
    const begunAt = 2
    story.ack(id)
    expect(story.oracle.observed(0, INITIAL_ID, begunAt, 50, true)).toBeNull()
  })
})

describe('zeros', () => {
  test('may be those of any zeroing that is not surely replaced', () => {
    const story = new Story()
    const first = story.write('zero')
    story.ack(first)
    const write = story.write()
    story.ack(write)
    expect(story.read(CONTENT_ZERO)).toBe('lost')
    story.write('zero')
    expect(story.read(CONTENT_ZERO)).toBe('legal')
    expect(story.read(write)).not.toBe('legal')
  })
})

describe('a power cut', () => {
  test('takes back nothing that is firm', () => {
    const story = new Story()
    const id = story.write()
    story.ack(id)
    story.powerCut()
    expect(story.read(INITIAL_ID)).toBe('lost')
  })

  test('may take back what no flush covers; the first read decides', () => {
    const story = new Story()
    const id = story.write()
    story.ack(id, false)
    expect(story.read(INITIAL_ID, false)).toBe('lost')
    expect(story.afterPowerCut(INITIAL_ID)).toBe('legal')
    story.powerCut()
    expect(story.read(INITIAL_ID)).toBe('legal')
    expect(story.read(id)).not.toBe('legal')
  })

  test('after a flush takes nothing back', () => {
    const story = new Story()
    const id = story.write()
    story.ack(id, false)
    story.flush()
    expect(story.afterPowerCut(INITIAL_ID)).toBe('lost')
  })

  test('after a failed flush may, even after one that succeeds', () => {
    const story = new Story()
    const id = story.write()
    story.ack(id, false)
    story.oracle.flushFailed()
    story.flush()
    expect(story.read(id)).toBe('legal')
    expect(story.afterPowerCut(INITIAL_ID)).toBe('legal')
  })

  test('lets an unanswered write happen before it or never, not later', () => {
    const story = new Story()
    const id = story.write()
    story.powerCut()
    expect(story.oracle.check(0, id, 50)).toBeNull()
    expect(story.read(INITIAL_ID)).toBe('legal')
    expect(story.read(id)).not.toBe('legal')
  })

  test('keeps the order of un-flushed writes that were acknowledged one after the other', () => {
    const story = new Story()
    const first = story.write()
    story.ack(first, false)
    const second = story.write()
    story.ack(second, false)
    story.powerCut()
    expect(story.read(second)).toBe('legal')
    expect(story.read(first)).not.toBe('legal')
  })
})

describe('users that are gone', () => {
  test('leave writes that happened before or never', () => {
    const story = new Story()
    const id = story.write()
    story.abandon()
    expect(story.read(INITIAL_ID)).toBe('legal')
    expect(story.read(id)).not.toBe('legal')
  })

  test('leave a failed write unknown until somebody reads', () => {
    const story = new Story()
    const id = story.write()
    story.oracle.failed(id)
    expect(story.read(INITIAL_ID)).toBe('legal')
    expect(story.read(id)).toBe('legal')
    expect(story.read(INITIAL_ID)).toBe('time-travel')
  })
})
