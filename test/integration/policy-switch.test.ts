// Proves: the write policy is switched back and forth under load without an error; once `policy write-through` has
// returned, every acknowledged write is on the backing itself, and a killed engine keeps the policy.
import { testOn } from '../run/requires.ts'
import { Oracle } from './harness/oracle.ts'
import { Served } from './harness/served.ts'
import { MIB, obstacleOfHost, pause, TestBed, until } from './harness/test-bed.ts'

const SEED = Number(process.env['FOREBAY_SEED'] ?? Date.now() % 1_000_000)
const onKernel = testOn(obstacleOfHost('blkdiscard'))
let bed: TestBed

beforeEach(() => {
  bed = new TestBed('policy')
})
afterEach(() => bed.tearDown())

onKernel('back and forth under load', async () => {
  const disk = await bed.slowDisk({ sizeBytes: 48 * MIB })
  const served = await Served.serve(bed, { backing: disk.device })
  const oracle = new Oracle(bed, SEED)
  for (let round = 0; round < 3; round++) {
    await oracle.open(served.device)
    const load = oracle.load(120_000)
    await pause(800)
    await served.must('policy', 'write-through')
    const status = await served.status()
    expect([status.writePolicy, status.effectiveWritePolicy, status.dirtyBytes]).toEqual([
      'write-through',
      'write-through',
      0,
    ])
    if (round === 1) {
      const killed = served.killEngine()
      await until('the next engine serves', () => served.enginePid !== killed && served.enginePid > 0)
    }
    await pause(500)
    oracle.stopLoad()
    const report = await load
    expect([report.errors, report.lost, report.samples]).toEqual([0, 0, []])
    expect((await served.status()).effectiveWritePolicy).toBe('write-through')
    await oracle.close()
    // The backing itself, while the volume is being served.
    await oracle.open(disk.device)
    const bare = await oracle.verify()
    expect([bare.lost, bare.samples]).toEqual([0, []])
    await oracle.close()
    await oracle.open(served.device)
    const again = oracle.load(120_000)
    await served.must('policy', 'write-back')
    expect((await served.status()).effectiveWritePolicy).toBe('write-back')
    await pause(300)
    oracle.stopLoad()
    await again
    const checked = await oracle.verify()
    expect([checked.errors, checked.lost, checked.samples]).toEqual([0, 0, []])
    await oracle.close()
  }
  await served.stop()
  await oracle.open(disk.device)
  expect((await oracle.verify()).lost).toBe(0)
})
