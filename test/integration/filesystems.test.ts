// Proves on the real kernel: ext4 and xfs live on a volume through load, remounts and a killed engine; their own
// checkers find nothing, neither on the device nor on the bare backing after the stop; and the bare backing holds
// every file as it was seen through the volume.
import { testOn } from '../run/requires.ts'
import { describeTree, stressTree } from './harness/file-load.ts'
import { FileExerciser } from './harness/fsx.ts'
import { Served } from './harness/served.ts'
import { command, MIB, obstacleOfHost, pause, TestBed } from './harness/test-bed.ts'

const SEED = Number(process.env['FOREBAY_SEED'] ?? Date.now() % 1_000_000)
/** xfs refuses less than 300 MiB. */
const VOLUME_BYTES = 320 * MIB
const ROUNDS = 4
const OPERATIONS_PER_ROUND = 250

const KINDS = [
  { kind: 'ext4', make: ['mkfs.ext4', '-q'], check: ['e2fsck', '-fn'] },
  { kind: 'xfs', make: ['mkfs.xfs', '-q', '-f'], check: ['xfs_repair', '-n'] },
] as const

const onKernel = testOn(obstacleOfHost('mkfs.ext4', 'mkfs.xfs', 'fallocate'))
let bed: TestBed

beforeEach(() => {
  bed = new TestBed('fs')
})
afterEach(() => bed.tearDown())

const runOn = ([program, ...flags]: readonly [string, ...string[]], device: string): Promise<string> =>
  command(program, ...flags, device)

for (const { kind, make, check } of KINDS) {
  onKernel(`${kind}: one file against its model, with remounts and a killed engine (seed ${SEED})`, async () => {
    const disk = await bed.slowDisk({ sizeBytes: VOLUME_BYTES })
    const served = await Served.serve(bed, { backing: disk.device, flags: ['--dirty-age', '500ms'] })
    await runOn(make, served.device)
    let exerciser: FileExerciser | null = null
    for (let round = 0; round < ROUNDS; round++) {
      const mounted = await bed.mount(served.device)
      exerciser ??= new FileExerciser(`${mounted.path}/file`, SEED)
      exerciser.moveTo(`${mounted.path}/file`)
      if (round > 0) await exerciser.compareAll()
      const running = exerciser.run(OPERATIONS_PER_ROUND)
      if (round === 1) {
        await pause(50)
        served.killEngine()
      }
      await running
      await mounted.unmount()
    }
    await runOn(check, served.device)
    await served.stop()
    await runOn(check, disk.device)
    const bare = await bed.mount(disk.device, '-o', 'ro')
    exerciser?.moveTo(`${bare.path}/file`, 'read-only')
    await expect(exerciser?.compareAll()).resolves.toBeUndefined()
    await exerciser?.close()
    await bare.unmount()
  })

  onKernel(`${kind}: many processes in one tree, a killed engine, and the bare backing has it all`, async () => {
    const disk = await bed.slowDisk({ sizeBytes: VOLUME_BYTES })
    const served = await Served.serve(bed, { backing: disk.device, flags: ['--dirty-age', '500ms'] })
    await runOn(make, served.device)
    const mounted = await bed.mount(served.device)
    const stress = stressTree(`${mounted.path}/tree`, SEED, 6000)
    await pause(2500)
    served.killEngine()
    const report = await stress
    expect(report.deviceErrors).toBe(0)
    expect(report.operations).toBeGreaterThan(100)
    await command('fstrim', mounted.path)
    const seen = describeTree(mounted.path)
    await mounted.unmount()
    await runOn(check, served.device)
    await served.stop()
    await runOn(check, disk.device)
    const bare = await bed.mount(disk.device, '-o', 'ro')
    expect(describeTree(bare.path)).toEqual(seen)
    await bare.unmount()
  })
}
