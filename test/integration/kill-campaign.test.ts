// Proves on the real kernel: kill -9 of the engine under load costs the application no error and no acknowledged write;
// kill -9 of holder and engine together costs no acknowledged write, and the next `serve` goes on from there; after the
// stop the backing alone holds everything. An oracle knows every acknowledged write; the counts are printed.
//
// FOREBAY_KILL_ROUNDS=N: N times as many rounds.
import { testOn } from '../run/requires.ts'
import { Oracle } from './harness/oracle.ts'
import { Served } from './harness/served.ts'
import { command, MIB, obstacleOfHost, pause, TestBed, until } from './harness/test-bed.ts'

const FACTOR = Number(process.env['FOREBAY_KILL_ROUNDS'] ?? 1)
const ENGINE_ROUNDS = 20 * FACTOR
const BOTH_ROUNDS = 10 * FACTOR
const SEED = Number(process.env['FOREBAY_SEED'] ?? Date.now() % 1_000_000)
const VOLUME_BYTES = 64 * MIB
/** An engine that keeps dying is started again later and later; a new `serve` begins at no delay. */
const ROUNDS_PER_SERVE = 5

const onKernel = testOn(obstacleOfHost('losetup', 'blkdiscard'))
let bed: TestBed

beforeEach(() => {
  bed = new TestBed('kill')
})
afterEach(() => bed.tearDown())

/** Spread over a round, the same for a seed. */
const moment = (round: number, rangeMs: number): number => (((SEED + round) * 2_654_435_761) >>> 0) % rangeMs

onKernel('the engine is killed again and again: no error, nothing lost', async () => {
  const disk = await bed.slowDisk({ sizeBytes: VOLUME_BYTES })
  const served = await Served.serve(bed, { backing: disk.device, flags: ['--dirty-age', '1s'] })
  const oracle = new Oracle(bed, SEED)
  let kills = 0
  for (let round = 0; round < ENGINE_ROUNDS; round++) {
    if (round > 0 && round % ROUNDS_PER_SERVE === 0) {
      await oracle.close()
      await served.stop()
      await served.start()
    }
    if (round % ROUNDS_PER_SERVE === 0) await oracle.open(served.device)
    const load = oracle.load(1200)
    await pause(100 + moment(round, 800))
    const killed = served.killEngine()
    kills++
    if (round % 4 === 3) {
      // And the successor in the middle of its start.
      await until('the holder starts the next engine', () => served.enginePid !== killed && served.enginePid > 0)
      await pause(moment(round, 400))
      served.killEngine()
      kills++
    }
    const report = await load
    expect([report.errors, report.lost, report.samples]).toEqual([0, 0, []])
    const checked = await oracle.verify()
    expect([checked.lost, checked.samples]).toEqual([0, []])
  }
  await oracle.close()
  await served.stop()
  await oracle.open(disk.device)
  const report = await oracle.verify()
  await oracle.close()
  process.stdout.write(
    `engine killed: kills=${kills} seed=${SEED} writes=${report.writes} zeroes=${report.zeroes} ` +
      `sectors-checked=${report.checkedSectors} errors=${report.errors} lost=${report.lost}\n`,
  )
  expect([report.errors, report.lost, report.samples]).toEqual([0, 0, []])
  expect(report.writes).toBeGreaterThan(ENGINE_ROUNDS)
})

onKernel('holder and engine are killed together: the next serve has everything', async () => {
  const disk = await bed.slowDisk({ sizeBytes: VOLUME_BYTES })
  const served = await Served.serve(bed, { backing: disk.device })
  const oracle = new Oracle(bed, SEED)
  for (let round = 0; round < BOTH_ROUNDS; round++) {
    await oracle.open(served.device)
    const load = oracle.load(1500, 'tolerant')
    await pause(300 + moment(round, 700))
    await served.killAll()
    await load
    await oracle.close()
    await served.start()
    await oracle.open(served.device)
    const checked = await oracle.verify()
    expect([checked.lost, checked.errors, checked.samples]).toEqual([0, 0, []])
    await oracle.close()
  }
  await served.stop()
  await oracle.open(disk.device)
  const report = await oracle.verify()
  await oracle.close()
  process.stdout.write(
    `holder and engine killed: kills=${BOTH_ROUNDS} seed=${SEED} writes=${report.writes} zeroes=${report.zeroes} ` +
      `unanswered=${report.uncertain} sectors-checked=${report.checkedSectors} lost=${report.lost}\n`,
  )
  expect([report.lost, report.samples]).toEqual([0, []])
  expect(report.writes).toBeGreaterThan(BOTH_ROUNDS)
})

onKernel('the oracle itself notices a lost, an old and a foreign sector', async () => {
  const disk = await bed.slowDisk({ sizeBytes: 8 * MIB, latencyMs: 0 })
  const oracle = new Oracle(bed, SEED)
  await oracle.open(disk.device)
  await oracle.load(300)
  const before = bed.path('before')
  const sound = await oracle.verify()
  expect([sound.lost, sound.errors]).toEqual([0, 0])
  await command('dd', `if=${disk.device}`, `of=${before}`, 'bs=1M', 'iflag=direct')
  await oracle.load(1000)
  await command('dd', `if=${before}`, `of=${disk.device}`, 'bs=1M', 'oflag=direct')
  const { lost, samples } = await oracle.verify()
  expect(lost).toBeGreaterThan(100)
  expect(samples[0]).toMatch(/^sector=\d+ holds write=\d+ instead of write=\d+$/)
})
