// Proves: a dry run lists and removes nothing, a real one removes exactly what the list says; what changes while the
// register is asked is kept; a store that cannot remove says so; and a removed volume is unknown afterwards.
import { IoError } from '../../../../../base/errors.ts'
import type { RegisterRecord } from '../../../../../csi-driver/register/record.ts'
import { aRecord, logUuidOf, MEMBER } from '../../register/records.ts'
import { Rig, settle, type TestEngine, TestLog } from './receiver-kit.ts'

const OLD = '1'.repeat(32)
const KEPT = '2'.repeat(32)
const OTHERS = [{ ...MEMBER, storeUuid: 'f'.repeat(32) }]

function record(volumeUuid: string, epoch: number): RegisterRecord {
  return aRecord({ volumeUuid, epoch, logUuid: logUuidOf(epoch), members: OTHERS })
}

/** Two volumes whose owners are gone; of one the register says that it went on elsewhere. */
async function twoVolumes() {
  const rig = await Rig.start()
  const engines: TestEngine[] = []
  for (const [volumeUuid, volume] of [
    [OLD, 'old'],
    [KEPT, 'kept'],
  ] as const) {
    const log = new TestLog(1, volumeUuid)
    const engine = await rig.learned(log, { volume })
    engine.send(log.next())
    engines.push(engine)
  }
  for (const engine of engines) engine.stream.destroy()
  await settle()
  const records = new Map([
    ['old', record(OLD, 2)],
    ['kept', record(KEPT, 1)],
  ])
  const lookup = async (volume: string): Promise<RegisterRecord | null> => records.get(volume) ?? null
  const collect = (changes: Partial<Parameters<Rig['receiver']['collectGarbage']>[0]> = {}) =>
    rig.receiver.collectGarbage({ lookup, named: new Set(), dryRun: false, ...changes })
  return { rig, collect }
}

const summary = (findings: readonly { volume: string; outcome: string; reason: string }[]): string[] =>
  findings.map(({ volume, outcome, reason }) => `${volume} ${outcome} ${reason}`)

test('a dry run lists, a real one removes what was listed', async () => {
  const { rig, collect } = await twoVolumes()
  const listed = ['old may-go superseded-not-listed', 'kept kept authoritative-or-pending']
  expect(summary(await collect({ dryRun: true }))).toEqual(listed)
  expect(rig.store.orders).not.toContain('discard old')
  const [removed] = await collect()
  expect(removed).toMatchObject({ volume: 'old', outcome: 'discarded', rules: '7.1a', reservedBytes: 2 ** 20 })
  expect(removed?.storedBytes).toBeGreaterThan(512)
  expect(rig.receiver.status().volumes.map(({ volume }) => volume)).toEqual(['kept'])
  expect(summary(await collect())).toEqual(['kept kept authoritative-or-pending'])
  expect(rig.log.named('replica.receiver.discarded').map(({ fields }) => fields['volume'])).toEqual(['old'])
  // Forgotten altogether: another key may make it anew, and an opener finds nothing.
  expect((await rig.welcomed({ volumeUuid: OLD, volume: 'old', purpose: 'opener', epoch: 9 })).heard).toEqual([
    'REFUSED not-held',
  ])
  expect((await rig.welcomed({ volumeUuid: OLD, volume: 'old', key: Buffer.alloc(32, 5) })).heard).toEqual(['WELCOME'])
})

test('what the user names goes, unless it is needed', async () => {
  const { collect } = await twoVolumes()
  const lookup = async (): Promise<null> => null
  expect(summary(await collect({ lookup, named: new Set([KEPT]) }))).toEqual([
    'old kept authoritative-or-pending',
    'kept discarded named',
  ])
})

test('a register that cannot be read keeps everything', async () => {
  const { collect } = await twoVolumes()
  const lookup = async (): Promise<'unknown'> => 'unknown'
  expect(summary(await collect({ lookup }))).toEqual(['old kept register-unknown', 'kept kept register-unknown'])
})

test('who comes while the register is asked keeps the volume, also if he has gone again', async () => {
  const { rig, collect } = await twoVolumes()
  const lookup = async (): Promise<RegisterRecord> => {
    const engine = await rig.welcomed({ volumeUuid: OLD, volume: 'old', run: 2 })
    engine.stream.destroy()
    await settle()
    return record(OLD, 2)
  }
  expect(summary(await collect({ lookup }))[0]).toBe('old kept in-use')
})

test('an engine that is connected keeps the volume', async () => {
  const { rig, collect } = await twoVolumes()
  await rig.welcomed({ volumeUuid: OLD, volume: 'old' })
  expect(summary(await collect())[0]).toBe('old kept in-use')
})

test('who comes during the removal is told to come again', async () => {
  const { rig, collect } = await twoVolumes()
  rig.store.hold = true
  const collecting = collect()
  await settle()
  expect((await rig.welcomed({ volumeUuid: OLD, volume: 'old' })).heard).toEqual(['REFUSED stopping'])
  rig.store.complete('discard old')
  expect(summary(await collecting)[0]).toBe('old discarded superseded-not-listed')
  rig.store.hold = false
  expect((await rig.welcomed({ volumeUuid: OLD, volume: 'old' })).heard).toEqual(['WELCOME'])
})

test('a store that fails to remove says so, and the volume is refused from then on', async () => {
  const { rig, collect } = await twoVolumes()
  rig.store.fails = { name: 'discard old', error: new IoError('EIO', 'write failed') }
  expect((await collect())[0]).toMatchObject({ outcome: 'failed', error: 'write failed' })
  expect((await rig.welcomed({ volumeUuid: OLD, volume: 'old' })).heard).toEqual(['REFUSED io'])
})
