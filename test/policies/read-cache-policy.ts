// The product's read cache (S3-FIFO with its ghost) as one of the policies; where a block is found, which is the extent
// index's business in the product, an array knows here.
import { ReadCache } from '../../csi-driver/engine/read-cache/read-cache.ts'
import { type Trace, universeOf } from './replacement-policy.ts'

const NOWHERE = -1

export function s3FifoMisses(trace: Trace, slots: number): Uint8Array {
  const slotOf = new Int32Array(universeOf(trace)).fill(NOWHERE)
  const cache = new ReadCache({
    slots,
    onEvict: (block) => {
      slotOf[block] = NOWHERE
    },
  })
  return Uint8Array.from(trace, (block) => {
    const slot = slotOf[block] as number
    if (slot !== NOWHERE) {
      cache.touch(slot)
      return 0
    }
    slotOf[block] = cache.insert(block)
    return 1
  })
}
