// Proves, against a modelled link: compression is begun where it pays and only there; no write is slower for it but for
// probes, whose price is bounded; decisions do not oscillate; a link that changes is followed.
import fc from 'fast-check'
import { MIB } from '../../../../../base/units.ts'
import { AdaptiveChoice } from '../../../../../csi-driver/replica/compression/adaptive-choice.ts'
import { MATERIAL_NAMES, ModelledLink, type Outcome, type Scenario } from './modelled-link.ts'

const BATCHES = 3000
const MIXED = [4096, 16_384, 65_536, 262_144]

const scenarios: fc.Arbitrary<Scenario> = fc.record({
  materials: fc.subarray(MATERIAL_NAMES, { minLength: 1 }),
  sizes: fc.constantFrom([4096], [65_536], [MIB], MIXED),
  gbitPerSecond: fc.constantFrom(0.1, 0.5, 1, 2.5, 5, 10, 25, 40),
  baseMs: fc.double({ min: 0.1, max: 2, noNaN: true }),
  noise: fc.constantFrom(0, 0.5, 1),
  heldUp: fc.constantFrom(0, 0.05, 0.1),
})

const usual = { sizes: MIXED, baseMs: 0.3, noise: 0.5 } as const
const live = (scenario: Scenario, seed = 'choice'): Outcome => new ModelledLink(seed).run(scenario, BATCHES)

test('never slower than raw by more than the probes, and never restless', () => {
  fc.assert(
    fc.property(scenarios, fc.string(), (scenario, seed) => {
      const { gain, slowedShare, changes } = live(scenario, seed)
      // One life amid noise many times as large as what is at stake; what is promised is the median (below).
      expect(gain).toBeGreaterThan(0.95)
      expect(slowedShare).toBeLessThan(0.05)
      expect(changes).toBeLessThanOrEqual(8 * scenario.sizes.length * scenario.materials.length)
    }),
    { numRuns: 40 },
  )
})

test('where hold-ups hide what little is at stake, half of all volumes are slowed by less than 3 %', () => {
  const scenario: Scenario = {
    ...{ materials: ['pages'], sizes: [4096], gbitPerSecond: 2.5 },
    ...{ baseMs: 0.229, noise: 0.5, heldUp: 0.05 },
  }
  const gains = Array.from({ length: 21 }, (_, life) => live(scenario, `life ${life}`).gain).toSorted((a, b) => a - b)
  expect(gains[10]).toBeGreaterThan(0.97)
})

test('noise goes raw on any link, from the first batches on', () => {
  for (const gbitPerSecond of [0.1, 1, 10, 40]) {
    const link = new ModelledLink(`noise ${gbitPerSecond}`)
    const scenario: Scenario = { ...usual, materials: ['noise'], gbitPerSecond }
    expect(link.run(scenario, 50).changes).toBe(0)
    const { compressedShare, slowedShare, changes } = link.run(scenario, BATCHES)
    expect(compressedShare).toBeLessThan(0.02)
    expect(slowedShare).toBeLessThan(0.02)
    expect(changes).toBe(0)
  }
})

test.each(['zeros', 'text', 'pages'] as const)('%s are compressed on a slow link within 200 batches', (name) => {
  for (const sizes of [[65_536], [MIB], MIXED]) {
    const link = new ModelledLink(name)
    const scenario: Scenario = { materials: [name], sizes, gbitPerSecond: 0.2, baseMs: 0.3, noise: 0.5 }
    link.run(scenario, 200)
    const { compressedShare, gain, gainMax } = link.run(scenario, BATCHES)
    expect(compressedShare).toBeGreaterThan(0.9)
    expect(gain).toBeGreaterThan(Math.min(10, 0.93 * gainMax))
  }
})

test('text at 1 Gbit/s gains nearly what can be gained', () => {
  for (const sizes of [[65_536], [MIB], MIXED]) {
    const { gain, gainMax } = live({ materials: ['text'], sizes, gbitPerSecond: 1, baseMs: 0.3, noise: 0.5 })
    expect(gain).toBeGreaterThan(1.2)
    expect(gain).toBeGreaterThan(0.93 * gainMax)
  }
})

test('nothing but zeros is compressed at 10 Gbit/s and above', () => {
  for (const gbitPerSecond of [10, 25, 40]) {
    for (const name of ['text', 'pages', 'noise'] as const) {
      const { compressedShare, gain } = live({ ...usual, materials: [name], gbitPerSecond })
      expect(compressedShare).toBeLessThan(0.05)
      expect(gain).toBeGreaterThan(0.99)
    }
  }
})

test('busy cores, which hold up one batch of ten, do not hide the gain', () => {
  for (const sizes of [[65_536], [MIB]]) {
    const link = new ModelledLink('busy')
    const scenario: Scenario = { ...usual, materials: ['text'], sizes, gbitPerSecond: 1, heldUp: 0.1 }
    link.run(scenario, 600)
    const { gain, gainMax } = link.run(scenario, BATCHES)
    expect(gain).toBeGreaterThan(1 + 0.9 * (gainMax - 1))
  }
})

test('each kind of payload is treated as is best for it', () => {
  const { gain, gainMax, changes } = live({ ...usual, materials: MATERIAL_NAMES, gbitPerSecond: 1 })
  expect(gain).toBeGreaterThan(0.93 * gainMax)
  expect(changes).toBeLessThan(20)
})

test.each([
  [1, 10],
  [10, 1],
  [0.1, 10],
  [40, 0.5],
])('a link that goes from %d to %d Gbit/s is followed', (before, after) => {
  for (const sizes of [[65_536], [MIB], MIXED]) {
    const link = new ModelledLink(`${before} to ${after}`)
    link.run({ ...usual, sizes, materials: ['text'], gbitPerSecond: before }, BATCHES)
    const scenario: Scenario = { ...usual, sizes, materials: ['text'], gbitPerSecond: after }
    link.run(scenario, 2000)
    const { gain, gainMax } = link.run(scenario, BATCHES)
    expect(gain).toBeGreaterThan(0.93 * gainMax)
  }
})

test('a clock that stands still, as in the simulator, is no trouble', () => {
  const choice = new AdaptiveChoice()
  const payload = Buffer.alloc(65_536, 'forebay ')
  for (let batch = 0; batch < 500; batch++) {
    const compress = choice.decide(payload, 0, payload.length)
    if (compress) choice.compressed(payload.length, 1000, 0)
    choice.sent(payload.length, compress ? 1000 : payload.length, batch % 3)
  }
  expect(choice.decide(payload, 0, 0)).toBe(false)
})

test('the same measurements give the same decisions', () => {
  const decisions = (): Outcome[] => {
    const link = new ModelledLink('twice')
    return [1, 10].map((gbitPerSecond) => link.run({ ...usual, materials: MATERIAL_NAMES, gbitPerSecond }, 1000))
  }
  expect(decisions()).toEqual(decisions())
})

test('batches that were never acknowledged, or that others compressed in between, leave the choice sound', () => {
  const calls = fc.array(fc.tuple(fc.constantFrom('decide', 'sent'), fc.nat({ max: 1 << 20 }), fc.nat({ max: 100 })))
  const payload = Buffer.alloc(1 << 20, 'forebay ')
  fc.assert(
    fc.property(calls, (list) => {
      const choice = new AdaptiveChoice()
      for (const [call, bytes, ms] of list) {
        if (call === 'sent') choice.sent(bytes, bytes, ms)
        else if (choice.decide(payload, 0, bytes)) choice.compressed(bytes, bytes >> 1, ms)
      }
    }),
  )
})
