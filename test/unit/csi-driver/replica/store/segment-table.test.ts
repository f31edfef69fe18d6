// Proves: against plain sets, no segment has two owners, a reservation is always there for the volume that has it, and
// nobody goes into what another one has reserved.
import fc from 'fast-check'
import { type SegmentAccount, SegmentTable } from '../../../../../csi-driver/replica/store/segment-table.ts'

const SEGMENTS = 20

test('agrees with sets', () => {
  const step = fc.record({
    who: fc.nat({ max: 3 }),
    what: fc.constantFrom('take', 'take', 'give', 'reserve'),
    number: fc.nat({ max: 12 }),
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 150 }), (steps) => {
      const table = new SegmentTable(SEGMENTS)
      const accounts: SegmentAccount[] = [0, 1, 2, 3].map((slot) => table.open(slot))
      const owned = accounts.map(() => [] as number[])
      for (const { who, what, number } of steps) {
        const account = accounts[who] as SegmentAccount
        const mine = owned[who] as number[]
        if (what === 'reserve') {
          const others = accounts.filter((each) => each !== account)
          const theirs = others.reduce((sum, each) => sum + Math.max(each.used, each.reserved), 0)
          const fits = theirs + Math.max(number, account.used) <= SEGMENTS || number <= account.reserved
          expect(table.reserve(account, number)).toBe(fits)
        } else if (what === 'give') {
          const segment = mine.pop()
          if (segment !== undefined) table.give(account, segment)
        } else {
          const mayTake = account.used < account.reserved || table.uncommitted > 0
          const segment = table.take(account)
          expect(segment >= 0).toBe(mayTake)
          if (segment >= 0) {
            expect(owned.flat()).not.toContain(segment)
            mine.push(segment)
          }
        }
        expect(accounts.map((each) => each.used)).toEqual(owned.map((each) => each.length))
        const committed = accounts.reduce((sum, each) => sum + Math.max(each.used, each.reserved), 0)
        expect(committed).toBeLessThanOrEqual(SEGMENTS)
        expect(table.uncommitted).toBe(SEGMENTS - committed)
      }
    }),
  )
})

test('segments are used in turn', () => {
  const table = new SegmentTable(4)
  const account = table.open(0)
  const taken: number[] = []
  for (let count = 0; count < 8; count++) {
    const segment = table.take(account)
    taken.push(segment)
    table.give(account, segment)
  }
  expect(taken).toEqual([0, 1, 2, 3, 0, 1, 2, 3])
})
