// Proves: an engine that dies while a child of it still works on the backing is followed by one that waits for the child,
// however long that takes; no request fails.
import { spawn } from 'node:child_process'
import { truncateSync, writeFileSync } from 'node:fs'
import { testOn } from '../run/requires.ts'
import { Oracle } from './harness/oracle.ts'
import { Served } from './harness/served.ts'
import { MIB, obstacleOfHost, pause, TestBed } from './harness/test-bed.ts'

const SEED = Number(process.env['FOREBAY_SEED'] ?? Date.now() % 1_000_000)
/** Longer than a start waits for a claim. */
const CHILD_SECONDS = 14
const onKernel = testOn(obstacleOfHost('flock'))
let bed: TestBed

beforeEach(() => {
  bed = new TestBed('backing-claim')
})
afterEach(() => bed.tearDown())

onKernel('the claim of the backing outlives the engine by seconds', async () => {
  const image = bed.path('image')
  writeFileSync(image, '')
  truncateSync(image, 32 * MIB)
  const served = await Served.serve(bed, { backing: image })
  const oracle = new Oracle(bed, SEED)
  await oracle.open(served.device)
  const load = oracle.load(120_000)
  await pause(500)
  // Stands in for the child: gets the lock of the image when the engine dies, before the next engine asks for it.
  spawn('flock', [image, 'sleep', String(CHILD_SECONDS)], { stdio: 'ignore' })
  await pause(200)
  process.kill(served.enginePid, 'SIGKILL')
  await pause((CHILD_SECONDS + 4) * 1000)
  oracle.stopLoad()
  const report = await load
  expect([report.errors, report.lost, report.samples]).toEqual([0, 0, []])
  await oracle.verify()
  await oracle.close()
  await served.stop()
})
