// Proves that /proc/stat is read as proc(5) says, and that anything else is not.
import { parseCpuTicks, systemSpareCpus } from '../../../../../csi-driver/io/real/spare-cpus.ts'

test('idle is idle and iowait; guest times are not counted twice', () => {
  const text = 'cpu  100 2 30 1000 50 6 7 8 9 10\ncpu0 1 2 3 4 5 6 7 8 9 10\n'
  expect(parseCpuTicks(text)).toEqual({ idle: 1050, all: 100 + 2 + 30 + 1000 + 50 + 6 + 7 + 8 })
})

test.each(['', 'intr 1 2 3', 'cpu 1 2 3', 'cpu a b c d e f g h', 'cpu0 1 2 3 4 5 6 7 8'])('refuses %j', (text) => {
  expect(parseCpuTicks(text)).toBeNull()
})

test('this host: between none and all of its CPUs', async () => {
  const spare = systemSpareCpus()
  await new Promise((resolve) => setTimeout(resolve, 200))
  const found = spare()
  expect(found).toBeGreaterThanOrEqual(0)
  expect(found).toBeLessThanOrEqual(1024)
})
