// Proves: the queue is a FIFO, and the sweep visits and removes slots at head, middle and tail without losing others.
import { NO_SLOT, SlotQueue } from '../../../../../csi-driver/engine/read-cache/slot-queue.ts'

function queueOf(slots: number[]): SlotQueue {
  const queue = new SlotQueue(new Int32Array(16))
  for (const slot of slots) queue.push(slot)
  return queue
}

function drain(queue: SlotQueue): number[] {
  const out: number[] = []
  for (let slot = queue.pop(); slot !== NO_SLOT; slot = queue.pop()) out.push(slot)
  return out
}

describe('slot queue', () => {
  test('first in, first out', () => {
    expect(drain(queueOf([3, 1, 2]))).toEqual([3, 1, 2])
  })

  test.each([[0], [1], [2], [3]])('sweeps slot %i away and keeps the others in order', (gone) => {
    const queue = queueOf([0, 1, 2, 3])
    for (let slot = queue.sweepSlot(); slot !== NO_SLOT; slot = queue.sweepSlot()) {
      if (slot === gone) queue.sweepRemove(slot)
      else queue.sweepKeep(slot)
    }
    expect(queue.count).toBe(3)
    queue.push(9)
    expect(drain(queue)).toEqual([0, 1, 2, 3, 9].filter((slot) => slot !== gone))
    queue.push(4)
    expect(drain(queue)).toEqual([4])
  })

  test('a pop of the slot under the cursor restarts the sweep at the head', () => {
    const queue = queueOf([0, 1, 2])
    queue.sweepKeep(queue.sweepSlot())
    expect(queue.pop()).toBe(0)
    queue.push(0)
    expect(queue.sweepSlot()).toBe(1)
  })
})
