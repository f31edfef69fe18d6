// Proves: batches come back over the link of a member as they were sealed, in the order of asking; damage, absence, too
// many and a lost connection are errors, told to each who asked; the link goes on with everything else meanwhile.
import { BATCH_FETCHES_MAX } from '../../../../../csi-driver/replica/replicator/batch-fetches.ts'
import { xxhash64 } from '../../../../../base/xxhash64.ts'
import type { HeldBatch } from './fake-store.ts'
import { type Owner, owner } from './owner-kit.ts'

interface Answer {
  readonly batchSeq: number
  readonly error: string | null
  readonly frame: Buffer | null
}

function ask(one: Owner, answers: Answer[], ...numbers: number[]): void {
  for (const batchSeq of numbers) {
    one.replicator.fetchBatch(batchSeq, (error, frame) =>
      answers.push({ batchSeq, error: error?.message ?? null, frame }),
    )
  }
}

test('batches come back as they were sealed, while others are written', async () => {
  const one = await owner(['a'], ['b'], 20)
  const answers: Answer[] = []
  ask(one, answers, 20, 1, 7, 7)
  one.append(100)
  await one.run(50)
  expect(one.completed).toEqual([21])
  ask(one, answers, 21)
  await one.run(50)
  expect(answers).toEqual(
    [20, 1, 7, 7, 21].map((batchSeq) => ({ batchSeq, error: null, frame: one.log.frames.get(batchSeq) })),
  )
  expect(one.kinds('a')).toEqual(['connected'])
})

test('only from a member that holds it', async () => {
  const one = await owner([], ['b'], 3)
  const answers: Answer[] = []
  ask(one, answers, 2)
  expect(answers).toMatchObject([{ error: 'no member answers that holds the batch', frame: null }])
})

test('damaged, and not there', async () => {
  const one = await owner(['a'], [], 5)
  const { held } = one.store('a')
  const third = held[2]
  if (third !== undefined) third.body[third.body.length - 9] = 99
  one.store('a').held = held.filter(({ batchSeq }) => batchSeq !== 4).map((batch) => rehashed(batch))
  const answers: Answer[] = []
  ask(one, answers, 3, 4, 5)
  await one.run(50)
  expect(answers.map(({ error }) => error)).toEqual([
    expect.stringContaining('damaged batchSeq=3'),
    expect.stringContaining('batchSeq=4'),
    null,
  ])
})

test('too many at once, and a connection that ends', async () => {
  const one = await owner(['a'], [], 2)
  const answers: Answer[] = []
  ask(one, answers, ...Array.from({ length: BATCH_FETCHES_MAX + 1 }, () => 1))
  expect(answers).toMatchObject([{ error: expect.stringContaining('too many') }])
  one.network.reset('owner', 'a')
  await one.run(1)
  expect(answers).toHaveLength(BATCH_FETCHES_MAX + 1)
  expect(answers.at(-1)?.error).toContain('connection')
  await one.run(200)
  ask(one, answers, 2)
  await one.run(20)
  expect(answers.at(-1)?.frame).toEqual(one.log.frames.get(2))
})

/** As if the damage had come before the store took it. */
function rehashed(batch: HeldBatch): HeldBatch {
  return { ...batch, hash: xxhash64(batch.body, 0, batch.body.length) }
}
