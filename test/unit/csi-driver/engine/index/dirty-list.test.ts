// Proves: the list keeps what fits, says when more came, and starts anew after a clear.
import { DirtyList } from '../../../../../csi-driver/engine/index/dirty-list.ts'

test('the dirty list overflows into a flag', () => {
  const list = new DirtyList(2)
  list.push(5)
  list.push(6)
  expect([list.count, list.overflowed]).toEqual([2, false])
  list.push(7)
  expect([list.count, list.overflowed, ...list.blocks]).toEqual([2, true, 5, 6])
  list.clear()
  expect([list.count, list.overflowed]).toEqual([0, false])
})
