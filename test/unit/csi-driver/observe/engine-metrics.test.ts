// The metrics of an engine: legal and unique names, one value each, from the engine's own status.
import { ENGINE_METRICS, EngineMetrics } from '../../../../csi-driver/observe/engine-metrics.ts'
import { EVENT_LOOP_DELAY } from '../../../../csi-driver/observe/runtime-watch.ts'
import { HEALTHY, type VolumeStatus } from '../../../../csi-driver/observe/status.ts'
import { ask, aRead, aWrite, TestMachine } from '../engine/harness.ts'

const STATUS: VolumeStatus = {
  volume: 'data',
  state: 'serving',
  device: '/dev/loop0',
  connections: null,
  backing: 'backing',
  cache: 'cache',
  writePolicy: 'write-back',
  effectiveWritePolicy: 'write-back',
  reason: null,
  phase: 'WriteBack',
  epoch: 1,
  run: 1,
  inSync: [],
  peers: null,
  dirtyBytes: 0,
  dirtyLimitBytes: 0,
  oldestDirtySeconds: 0,
  holderPid: null,
  enginePid: null,
  readHits: 0,
  readMisses: 0,
  previousCache: null,
  cacheBytes: 0,
  cachedBytes: 0,
  logBytes: 0,
  logUsedBytes: 0,
  volumeBytes: 0,
  sectorBytes: 512,
  backingHealth: HEALTHY,
  cacheHealth: HEALTHY,
  openBy: [],
  version: '0',
}

function valuesOf(text: string): Map<string, number> {
  const lines = text.split('\n').filter((line) => line.includes('{volume="data"} '))
  return new Map(
    lines.map((line): [string, number] => {
      const [name = '', value = ''] = line.split('{volume="data"} ')
      return [name, Number(value)]
    }),
  )
}

test('names are unique, have a unit where they need one, and say what they are', () => {
  const names = ENGINE_METRICS.map(({ name }) => name)
  expect(new Set(names).size).toBe(names.length)
  for (const { name, kind, help } of ENGINE_METRICS) {
    expect(name).toMatch(/^forebay_[a-z_]+$/)
    expect(name.endsWith('_total')).toBe(kind === 'counter')
    expect(help).toMatch(/^[A-Z0-9].*\.$/)
  }
})

test('every metric has a finite value of a fresh engine', async () => {
  const volume = await new TestMachine().open()
  const values = valuesOf(new EngineMetrics('data').render(volume.status(), STATUS))
  const runtime = [`${EVENT_LOOP_DELAY}_sum`, `${EVENT_LOOP_DELAY}_count`]
  expect([...values.keys()].sort()).toEqual([...ENGINE_METRICS.map(({ name }) => name), ...runtime].sort())
  for (const value of values.values()) expect(Number.isFinite(value)).toBe(true)
})

test('values are those of the engine at the time of the scrape', async () => {
  const machine = new TestMachine()
  const volume = await machine.open()
  const metrics = new EngineMetrics('data')
  metrics.render(volume.status(), STATUS)
  await ask(volume, aWrite(0, 1))
  await ask(volume, aRead(0))
  await ask(volume, aRead(65_536))
  machine.backing.fail('write', Infinity)
  await machine.time.advance(3_000)
  const values = valuesOf(metrics.render(volume.status(), STATUS))
  expect(Object.fromEntries(values)).toMatchObject({
    forebay_writes_total: 1,
    forebay_written_bytes_total: 4096,
    forebay_read_hits_total: 1,
    forebay_read_misses_total: 1,
    forebay_dirty_bytes: 4096,
    forebay_write_back: 1,
    forebay_backing_failing: 1,
    forebay_cache_failed: 0,
    forebay_epoch: 1,
  })
  expect(values.get('forebay_oldest_dirty_seconds')).toBeGreaterThanOrEqual(3)
})
