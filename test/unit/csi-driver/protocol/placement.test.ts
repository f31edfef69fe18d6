// Proves that peers are chosen in the order of the list within the wanted domains, that every count is filled where it can
// be, and that the text for too few peers names what is missing, who could help, and what to do.
import fc from 'fast-check'
import { choosePlaces, isComplete, tooFewPeersText } from '../../../../csi-driver/protocol/placement.ts'

type Status = Parameters<typeof tooFewPeersText>[2][number]['status']

const PLACES = [
  { node: 'a', domain: 'east' },
  { node: 'b', domain: 'west' },
  { node: 'c', domain: 'east' },
  { node: 'd', domain: 'west' },
]

test('the first of the list in each domain, then whoever is left', () => {
  expect(choosePlaces({ same: 1, other: 1, any: 0 }, PLACES, 'west').chosen).toEqual(['a', 'b'])
  expect(choosePlaces({ same: 0, other: 2, any: 0 }, PLACES, 'west').chosen).toEqual(['a', 'c'])
  expect(choosePlaces({ same: 0, other: 1, any: 1 }, PLACES, 'east').chosen).toEqual(['a', 'b'])
  expect(choosePlaces({ same: 0, other: 0, any: 2 }, PLACES, 'north').chosen).toEqual(['a', 'b'])
  expect(choosePlaces({ same: 1, other: 1, any: 0 }, PLACES, 'north').missing).toEqual({ same: 1, other: 0, any: 0 })
})

test('every count is filled as far as there are places', () => {
  const places = fc.array(fc.constantFrom('east', 'west', 'north'), { maxLength: 6 })
  const count = fc.nat(2)
  fc.assert(
    fc.property(places, count, count, count, (domains, same, other, any) => {
      const all = domains.map((domain, i) => ({ node: `n${i}`, domain }))
      const { chosen, missing } = choosePlaces({ same, other, any }, all, 'east')
      const inside = domains.filter((domain) => domain === 'east').length
      const outside = domains.length - inside
      expect(missing.same).toBe(Math.max(0, same - inside))
      expect(missing.other).toBe(Math.max(0, other - outside))
      const left = Math.max(0, inside - same) + Math.max(0, outside - other)
      expect(missing.any).toBe(Math.max(0, any - left))
      expect(chosen.length).toBe(same + other + any - missing.same - missing.other - missing.any)
      expect(isComplete({ chosen, missing })).toBe(chosen.length === same + other + any)
      expect([...chosen].sort()).toEqual([...new Set(chosen)].sort())
    }),
  )
})

test('the text says what is missing and what to do', () => {
  const wish = { same: 1, other: 1, any: 0 }
  const missing = { same: 0, other: 1, any: 0 }
  const text = (status: Status, refusal?: 'full' | 'too-many') =>
    tooFewPeersText(wish, missing, [
      { node: 'd', domain: 'west', status, ...(refusal === undefined ? {} : { refusal }) },
    ])
  expect(text('unreachable')).toEqual({
    message: 'too few peers for 2 replicas: missing 1 in another fault domain peers=d:unreachable',
    remedy: 'Start "forebay peer" on d, check the network to it, or add another --peer.',
  })
  expect(text('refused', 'full').message).toContain('d:refused-full')
  // Also while it is connected again, or asks for the space once more.
  for (const status of ['refused', 'unstable', 'connected', 'learning'] as const) {
    expect(text(status, 'full').remedy).toBe('Give the replica store of d more space, or add another --peer.')
    expect(text(status, 'too-many').remedy).toContain('more space')
  }
  expect(text('unstable').remedy).toContain('by itself')
  expect(text('learning').remedy).toContain('by itself')
  expect(tooFewPeersText(wish, missing, []).remedy).toBe(
    'Add a --peer in another fault domain, or ask for fewer --replicas.',
  )
})
