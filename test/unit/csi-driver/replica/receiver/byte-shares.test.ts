// Proves by an arbitrary order of events: a volume is full exactly from above its share until it is down to half of it,
// shares are even among those that have bytes, whoever is full has bytes that will come back, and sums are right.
import fc from 'fast-check'
import { ByteShares } from '../../../../../csi-driver/replica/receiver/byte-shares.ts'

test('one volume alone may have its own limit, two share the whole evenly', () => {
  const shares = new ByteShares({ bytesMax: 100, accountBytesMax: 80 })
  const [a, b] = [shares.open(), shares.open()]
  shares.take(a, 80)
  expect(a.isFull).toBe(false)
  shares.take(a, 1)
  expect(a.isFull).toBe(true)
  shares.take(b, 50)
  expect(b.isFull).toBe(false)
  shares.take(b, 1)
  expect(b.isFull).toBe(true)
  // Down to half of the share of two, which is 25.
  shares.give(a, 55)
  expect(a.isFull).toBe(true)
  shares.give(a, 1)
  expect(a.isFull).toBe(false)
  expect(shares.bytes).toBe(76)
})

test('in any order of events', () => {
  const event = fc.record({ account: fc.nat(3), bytes: fc.integer({ min: 1, max: 40 }), give: fc.boolean() })
  fc.assert(
    fc.property(fc.array(event, { maxLength: 200 }), (events) => {
      const shares = new ByteShares({ bytesMax: 100, accountBytesMax: 60 })
      const accounts = Array.from({ length: 4 }, () => shares.open())
      for (const { account: index, bytes, give } of events) {
        const account = accounts[index]
        if (account === undefined) continue
        if (!give) {
          const share = shares.shareBytes
          shares.take(account, bytes)
          if (account.bytes > share) expect(account.isFull).toBe(true)
        } else if (account.bytes > 0) {
          shares.give(account, Math.min(bytes, account.bytes))
          expect(account.isFull).toBe(account.isFull && account.bytes > shares.shareBytes / 2)
        }
        expect(shares.bytes).toBe(accounts.reduce((sum, each) => sum + each.bytes, 0))
        for (const each of accounts) if (each.isFull) expect(each.bytes).toBeGreaterThan(0)
      }
    }),
  )
})
