// Proves with a real replica store that holds the copy of a volume under load: a peer that has no certificate, one of
// another CA, or the wrong key; that sends garbage, replayed, truncated or huge frames, or nothing for a long time, gets
// nowhere. It is refused, the log says so once and not a thousand times, and neither the volume nor its copy notices.
import { readFileSync } from 'node:fs'
import { testOn } from '../../run/requires.ts'
import { TestAuthority } from '../../tls/test-authority.ts'
import { pause, type TestBed, until } from '../harness/test-bed.ts'
import { CheckedLoad } from './harness/checked-load.ts'
import { type Host } from './harness/host.ts'
import type { Attack, HostileOrder, HostileReport } from './harness/hostile-program.ts'
import { Hosts, obstacleOfHosts } from './harness/hosts.ts'
import { PEER_PORT } from './harness/program.ts'
import type { ServedHere } from './harness/served-here.ts'

const SEED = Number(process.env['FOREBAY_SEED'] ?? Date.now() % 1_000_000)
const CONNECTIONS = 40
const WAVES: readonly (readonly Attack[])[] = [
  ['garbage', 'silence', 'no-certificate', 'foreign-certificate'],
  ['wrong-key', 'replayed-hello', 'truncated', 'huge', 'slow'],
]
/** The store gives a HELLO 5 s and a frame 20 s. */
const LASTS_MS = 12_000
/** Far above what it needs, far below what a hostile length would take. */
const RESIDENT_KIB_MAX = 600 * 1024
const PROGRAM = new URL('harness/hostile-program.ts', import.meta.url).pathname
const onKernel = testOn(obstacleOfHosts('blkdiscard'))
let bed: TestBed

beforeEach(() => {
  bed = Hosts.bed()
})
afterEach(() => bed.tearDown())

async function attack(from: Host, on: Host, attack: Attack, tlsDir = from.tlsDir): Promise<HostileReport> {
  const { volume } = from.hosts
  const volumeUuid = (await on.peerStatus()).volumes.find((held) => held.volume === volume)?.volumeUuid ?? ''
  const order: HostileOrder = {
    ...{ attack, host: on.address, port: PEER_PORT, node: on.name, as: from.name, tlsDir, volume, volumeUuid },
    ...{ connections: CONNECTIONS, lastsMs: LASTS_MS },
  }
  const words = [process.execPath, '--disable-warning=ExperimentalWarning', PROGRAM, JSON.stringify(order)]
  return JSON.parse(await from.namespaces.run(...words)) as HostileReport
}

const residentKib = (pid: number): number =>
  Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1])

/** Lines of the log that match, each with its node or address and code. */
const refusals = (log: string, event: string): string[] => log.split('\n').filter((line) => line.includes(` ${event} `))

async function expectUndisturbed(served: ServedHere, copy: Host): Promise<void> {
  const { inSync, effectiveWritePolicy, epoch } = await served.status()
  expect(inSync.map(({ node }) => node).toSorted()).toEqual(['a', 'b'])
  expect([effectiveWritePolicy, epoch]).toEqual(['write-back', 1])
  expect(served.errors).not.toMatch(/kind=(late|lost|refused|fenced)|action=remove node=b/)
  expect(residentKib(copy.peerProgram.pid)).toBeLessThan(RESIDENT_KIB_MAX)
}

onKernel('nine ways to be a nuisance, all at once, against a store under load', async () => {
  const hosts = await Hosts.make(bed)
  const [a, b, c] = [hosts.get('a'), hosts.get('b'), hosts.get('c')]
  const served = await a.serve()
  await served.untilCopiesOn('a', 'b')
  const foreign = await (await TestAuthority.make()).issue(bed.path('foreign'), 'c')
  const load = new CheckedLoad(bed, SEED)
  await load.open(served)
  load.begin()
  await pause(300)
  const before = await b.peerStatus()
  const reports = new Map<Attack, HostileReport>()
  for (const wave of WAVES) {
    const strike = async (kind: Attack): Promise<void> => {
      reports.set(kind, await attack(c, b, kind, kind === 'foreign-certificate' ? foreign : c.tlsDir))
    }
    await Promise.all(wave.map(strike))
  }
  // No connection stays.
  const left = [...reports].filter(([, report]) => report.left !== 0)
  expect(left).toEqual([])
  expect(reports.get('wrong-key')?.refused).toEqual({ proof: CONNECTIONS })
  // A proof is bound to its connection: recorded, it is worth nothing.
  expect(reports.get('replayed-hello')?.refused['proof']).toBe(CONNECTIONS / 2)
  expect(reports.get('huge')?.refused).toEqual({ 'bad-message': CONNECTIONS })
  expect((await load.stop()).errors).toBe(0)
  await load.verify()
  await load.close()
  await expectUndisturbed(served, b)

  const after = await b.peerStatus()
  expect(after.refused.proof ?? 0).toBeGreaterThan(before.refused.proof ?? 0)
  expect(after.refused['bad-message'] ?? 0).toBeGreaterThan(before.refused['bad-message'] ?? 0)
  expect(after.tlsRefused).toBeGreaterThan(before.tlsRefused)
  const said = b.peerProgram.errors
  const codes = refusals(said, 'replica.receiver.refused').map((line) =>
    / node=(\S+) .* code=(\S+)/.exec(line)?.slice(1).join(' '),
  )
  expect(codes).toContain('c proof')
  // Once for each kind, whoever comes how often.
  expect(new Set(codes).size).toBe(codes.length)
  expect(refusals(said, 'tls.refused')).toHaveLength(1)
  await until('only the owner is connected', async () => (await b.peerStatus()).connections <= 1, 30_000)
})
