// Proves with several hosts on one machine: an engine that dies while its certificate is being exchanged is followed by the
// next one, which waits for the whole set, and no request fails.
import { copyFileSync, renameSync } from 'node:fs'
import { testOn } from '../../run/requires.ts'
import { pause, type TestBed } from '../harness/test-bed.ts'
import { CheckedLoad } from './harness/checked-load.ts'
import { Hosts, obstacleOfHosts } from './harness/hosts.ts'

const SEED = Number(process.env['FOREBAY_SEED'] ?? Date.now() % 1_000_000)
const onKernel = testOn(obstacleOfHosts('blkdiscard'))
let bed: TestBed

beforeEach(() => {
  bed = Hosts.bed()
})
afterEach(() => bed.tearDown())

onKernel('an engine dies between the exchange of its certificate and of its key', async () => {
  const hosts = await Hosts.make(bed, { names: ['a', 'b'] })
  const [a, b] = [hosts.get('a'), hosts.get('b')]
  const served = await a.serve()
  await served.untilCopiesOn('a', 'b')
  const load = new CheckedLoad(bed, SEED)
  await load.open(served)
  load.begin()
  await pause(300)
  copyFileSync(`${a.tlsDir}/tls.key`, `${a.tlsDir}/kept.key`)
  copyFileSync(`${b.tlsDir}/tls.key`, `${a.tlsDir}/tls.key`)
  const next = served.untilNextEngine(served.killEngine())
  await pause(1500)
  renameSync(`${a.tlsDir}/kept.key`, `${a.tlsDir}/tls.key`)
  await next
  await served.untilCopiesOn('a', 'b')
  expect((await load.stop()).errors).toBe(0)
  await load.verify()
  await load.close()
  await served.stop()
})
