// Proves: whatever a replica store has answered is there after a crash at any moment, and nothing that it had dropped;
// learning, promotions, trims, creation and removal happen wholly or not at all; also when the next start is cut short.
import { createPrng } from '../../base/prng.ts'
import { bytesFor } from '../unit/csi-driver/replica/store/store-kit.ts'
import { StoreWorkload, type WorkloadCounts } from './replica-store-model.ts'

const SEEDS = 60
const CRASHES = 6

test('a store that crashes at any moment', async () => {
  const total: WorkloadCounts = { orders: 0, crashes: 0, tornStarts: 0, promoted: 0, learned: 0, full: 0 }
  for (let seed = 1; seed <= SEEDS; seed++) {
    const prng = createPrng(`replica store ${seed}`)
    const workload = new StoreWorkload(prng, bytesFor(prng.pick([14, 20, 40])))
    try {
      await workload.start()
      for (let crash = 0; crash < CRASHES; crash++) {
        for (let step = prng.below(120); step >= 0; step--) workload.step()
        if (prng.chance(0.2)) await workload.settle()
        await workload.crash()
      }
    } catch (error) {
      throw new Error(`seed=${seed}`, { cause: error })
    }
    for (const name of Object.keys(total) as (keyof WorkloadCounts)[]) total[name] += workload.counts[name]
  }
  // It looks: the workload reaches everything that it is about.
  expect(Object.entries(total).filter(([, count]) => count < 5)).toEqual([])
})
