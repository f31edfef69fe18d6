// Proves: `forebay upgrade` replaces the engine process again and again under load; the application sees no error and
// nothing is lost; a build that fails its self-test replaces nothing; the settings are those of the start.
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { testOn } from '../run/requires.ts'
import { Oracle } from './harness/oracle.ts'
import { Served } from './harness/served.ts'
import { MIB, obstacleOfHost, pause, TestBed } from './harness/test-bed.ts'

const SEED = Number(process.env['FOREBAY_SEED'] ?? Date.now() % 1_000_000)
const UPGRADES = 3
const onKernel = testOn(obstacleOfHost('blkdiscard'))
let bed: TestBed

beforeEach(() => {
  bed = new TestBed('upgrade')
})
afterEach(() => bed.tearDown())

onKernel('the engine is replaced under load: no error, nothing lost', async () => {
  const disk = await bed.slowDisk({ sizeBytes: 48 * MIB })
  const served = await Served.serve(bed, { backing: disk.device })
  const oracle = new Oracle(bed, SEED)
  await oracle.open(served.device)
  const engines = new Set([served.enginePid])
  const load = oracle.load(120_000)
  for (let i = 0; i < UPGRADES; i++) {
    await pause(500)
    expect(await served.must('upgrade')).toContain('upgraded volume=')
    engines.add(served.enginePid)
  }
  await pause(500)
  oracle.stopLoad()
  const report = await load
  expect([report.errors, report.lost, report.samples]).toEqual([0, 0, []])
  expect(engines.size).toBe(UPGRADES + 1)
  expect((await served.status()).epoch).toBe(1)
  await oracle.verify()
  await oracle.close()
  await served.stop()
  await oracle.open(disk.device)
  const checked = await oracle.verify()
  expect([checked.lost, checked.samples]).toEqual([0, []])
})

onKernel('a configuration file that was spoiled meanwhile stops neither an upgrade nor a restart', async () => {
  const config = bed.path('db1.yaml')
  writeFileSync(config, 'dirtyAge: 30s\n')
  const disk = await bed.slowDisk({ sizeBytes: 16 * MIB })
  const served = await Served.serve(bed, { backing: disk.device, flags: ['--config', config] })
  const oracle = new Oracle(bed, SEED)
  await oracle.open(served.device)
  const load = oracle.load(60_000)
  writeFileSync(config, 'dirtyAge: 30 sekunden\n')
  expect(await served.must('upgrade')).toContain('upgraded volume=')
  served.killEngine()
  await pause(500)
  oracle.stopLoad()
  const report = await load
  expect([report.errors, report.lost, report.samples]).toEqual([0, 0, []])
  await oracle.close()
  await served.stop()
})

onKernel('a build that fails its self-test leaves the engine alone', async () => {
  const disk = await bed.slowDisk({ sizeBytes: 16 * MIB })
  const served = await Served.serve(bed, { backing: disk.device })
  const before = served.enginePid
  const build = bed.path('build')
  mkdirSync(`${build}/bin`, { recursive: true })
  mkdirSync(`${build}/csi-driver`, { recursive: true })
  writeFileSync(`${build}/bin/forebay`, '#!/bin/sh\necho "this build is broken" >&2\nexit 1\n')
  chmodSync(`${build}/bin/forebay`, 0o755)
  writeFileSync(`${build}/csi-driver/main.ts`, '')
  const { status, stderr } = await served.call('upgrade', '--build', build)
  expect(status).toBe(1)
  expect(stderr).toContain('this build is broken')
  expect(served.enginePid).toBe(before)
  expect((await served.status()).state).toBe('serving')
  await served.stop()
})
