// Proves: two volumes live beside each other, each with its own load; a killed engine of one is nothing to the other;
// and whatever one of them holds (name, cache, backing, device) is refused to a second `serve` with nothing changed.
import { testOn } from '../run/requires.ts'
import { Oracle } from './harness/oracle.ts'
import { FOREBAY, Served } from './harness/served.ts'
import { MIB, obstacleOfHost, pause, type Ran, TestBed, tryCommand } from './harness/test-bed.ts'

const SEED = Number(process.env['FOREBAY_SEED'] ?? Date.now() % 1_000_000)
const onKernel = testOn(obstacleOfHost('blkdiscard'))
let bed: TestBed

beforeEach(() => {
  bed = new TestBed('two')
})
afterEach(() => bed.tearDown())

onKernel('two volumes under load, one of them with a killed engine', async () => {
  const disks = [await bed.slowDisk({ sizeBytes: 32 * MIB }), await bed.slowDisk({ sizeBytes: 32 * MIB })] as const
  const volumes = [
    await Served.serve(bed, { backing: disks[0].device }),
    await Served.serve(bed, { backing: disks[1].device }),
  ] as const
  const oracles = [new Oracle(bed, SEED), new Oracle(bed, SEED + 1)] as const
  const [one, other] = volumes
  await Promise.all([oracles[0].open(one.device), oracles[1].open(other.device)])
  const loads = oracles.map((oracle) => oracle.load(3000))
  await pause(1000)
  const engineOfOther = other.enginePid
  one.killEngine()
  for (const report of await Promise.all(loads)) expect([report.errors, report.lost]).toEqual([0, 0])
  expect(other.enginePid).toBe(engineOfOther)
  const listed = await tryCommand(FOREBAY, ['status', '--state-dir', one.stateDirectory, '--output', 'json'])
  expect((JSON.parse(listed.stdout) as { volume: string }[]).map(({ volume }) => volume).toSorted()).toEqual(
    [one.volume, other.volume].toSorted(),
  )
  await Promise.all(oracles.map((oracle) => oracle.close()))
  await Promise.all(volumes.map((volume) => volume.stop()))
  for (const [i, oracle] of oracles.entries()) {
    await oracle.open(disks[i === 0 ? 0 : 1].device)
    const report = await oracle.verify()
    expect([report.errors, report.lost, report.samples]).toEqual([0, 0, []])
  }
})

onKernel('a second serve of the same volume, cache or backing is refused', async () => {
  const disk = await bed.slowDisk({ sizeBytes: 32 * MIB })
  const spare = await bed.slowDisk({ sizeBytes: 32 * MIB })
  const served = await Served.serve(bed, { backing: disk.device })
  const serve = (volume: string, backing: string, cache: string): Promise<Ran> =>
    tryCommand(FOREBAY, ['serve', volume, '--backing', backing, '--cache', cache, '--state-dir', served.stateDirectory])
  const fresh = bed.path('another-cache')
  const other = `${served.volume}-b`
  for (const [volume, backing, cache] of [
    [served.volume, disk.device, served.cache],
    [served.volume, spare.device, fresh],
    [other, spare.device, served.cache],
    [other, disk.device, fresh],
    [other, served.device, fresh],
  ] as const) {
    const { status, stdout, stderr } = await serve(volume, backing, cache)
    expect([status, stdout]).toEqual([2, ''])
    expect(stderr).toContain(served.volume)
  }
  expect((await served.status()).state).toBe('serving')
  await served.stop()
})
