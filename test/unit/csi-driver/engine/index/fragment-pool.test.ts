// Proves: the pool hands out each node once, keeps content while it doubles, reuses what is given back, and stops at its
// limit.
import { FragmentPool } from '../../../../../csi-driver/engine/index/fragment-pool.ts'

describe('fragment pool', () => {
  test('grows to its limit and keeps what is stored', () => {
    const pool = new FragmentPool(1000)
    const bytesAtStart = pool.bytes
    const nodes = Array.from({ length: 1000 }, () => pool.take())
    for (const node of nodes) pool.base[node] = node * 3
    expect(new Set(nodes).size).toBe(1000)
    expect(pool.free).toBe(0)
    expect(pool.bytes).toBe(14_000)
    expect(pool.bytes).toBeGreaterThan(bytesAtStart)
    expect(nodes.every((node) => pool.base[node] === node * 3)).toBe(true)
    expect(() => pool.take()).toThrow('fragment pool is full nodes=1000')
  })

  test('reuses nodes before it grows', () => {
    const pool = new FragmentPool(1000)
    const nodes = Array.from({ length: 256 }, () => pool.take())
    const { bytes } = pool
    for (const node of nodes) pool.give(node)
    expect(pool.used).toBe(0)
    expect(new Set(Array.from({ length: 256 }, () => pool.take())).size).toBe(256)
    expect(pool.bytes).toBe(bytes)
  })
})
