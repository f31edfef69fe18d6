// Proves what is said of a volume whose engine does not answer: stopped, stopped with dirty data (how much, how old),
// restarting while a holder lives, owned by another host meanwhile, or a register that cannot be read. And that a register
// directory which hosts share is found by what each volume last said, with no volume of other hosts.
import fs from 'node:fs'
import path from 'node:path'
import { gatherVolumes, registerPathsOfVolume, stoppedStatus } from '../../../../csi-driver/cli/volume-list.ts'
import { encodeLastStatus, type LastStatus } from '../../../../csi-driver/observe/last-status.ts'
import type { RegisterRecord } from '../../../../csi-driver/register/record.ts'

const LAST: LastStatus = {
  dirtyBytes: 5000,
  oldestDirtyWallMs: 40_000,
  atWallMs: 90_000,
  backing: '/dev/sdb',
  cache: '/cache',
  writePolicy: 'write-back',
  reason: 'something',
  register: '/shared',
  node: 'n1',
}
const RECORD = {
  volume: 'db1',
  epoch: 7,
  owner: 'n1',
  phase: 'WriteBack',
  dirty: true,
  members: [{ node: 'n1', storeUuid: 'ab', incarnation: 1 }],
  backing: { kind: 'block', id: 'wwid:1', sizeBytes: 1 << 20 },
} as unknown as RegisterRecord
const facts = { last: LAST, held: false, nowWallMs: 100_000 }

test('dirty: how much, and how old it is by now', () => {
  expect(stoppedStatus({ volume: 'db1', record: RECORD }, facts)).toMatchObject({
    volume: 'db1',
    state: 'stopped-dirty',
    dirtyBytes: 5000,
    oldestDirtySeconds: 60,
    reason: 'something',
    backing: '/dev/sdb',
    cache: '/cache',
    epoch: 7,
    phase: 'WriteBack',
    inSync: [{ node: 'n1', storeUuid: 'ab' }],
    volumeBytes: 1 << 20,
    enginePid: null,
  })
})

test('clean: nothing dirty, whatever was dirty once', () => {
  const record = { ...RECORD, dirty: false, phase: 'Detached' } as RegisterRecord
  expect(stoppedStatus({ volume: 'db1', record }, facts)).toMatchObject({
    state: 'stopped',
    dirtyBytes: 0,
    oldestDirtySeconds: 0,
    reason: null,
  })
})

test('another node owns it now: nothing is at stake here', () => {
  const record = { ...RECORD, owner: 'n2' } as RegisterRecord
  expect(stoppedStatus({ volume: 'db1', record }, facts)).toMatchObject({
    state: 'stopped',
    dirtyBytes: 0,
    reason: 'owned by node=n2 now',
  })
})

test('a holder lives', () => {
  expect(stoppedStatus({ volume: 'db1', record: RECORD }, { ...facts, held: true }).state).toBe('restarting')
})

test('nothing known but the register', () => {
  expect(stoppedStatus({ volume: 'db1', record: RECORD }, { ...facts, last: null })).toMatchObject({
    state: 'stopped-dirty',
    dirtyBytes: 0,
    backing: 'wwid:1',
    writePolicy: 'write-back',
  })
})

test('a register that cannot be read', () => {
  expect(stoppedStatus({ volume: 'db1', problems: ['a', 'b'] }, { ...facts, last: null })).toMatchObject({
    state: 'unreadable',
    reason: 'register cannot be read: a; b',
    phase: 'unknown',
  })
})

describe('a shared register directory', () => {
  let directory = ''
  beforeEach(() => {
    directory = fs.mkdtempSync('/var/tmp/forebay-list-')
    fs.mkdirSync(path.join(directory, 'state/run'), { recursive: true })
  })
  afterEach(() => fs.rmSync(directory, { recursive: true }))

  const lastStatus = (volume: string): void =>
    fs.writeFileSync(
      path.join(directory, `state/run/${volume}.last.json`),
      encodeLastStatus({ ...LAST, register: path.join(directory, 'shared') }),
    )

  test('is asked for the volumes that were served here', async () => {
    for (const volume of ['db1', 'other']) {
      fs.mkdirSync(path.join(directory, 'shared', volume), { recursive: true })
      fs.writeFileSync(path.join(directory, 'shared', volume, `${volume}.0000000000000001`), 'damaged\n')
    }
    lastStatus('db1')
    const found = await gatherVolumes(path.join(directory, 'state'))
    expect(found.map(({ volume, state }) => [volume, state])).toEqual([['db1', 'unreadable']])
    const { directory: registers } = await registerPathsOfVolume(path.join(directory, 'state'), 'db1')
    expect(registers).toBe(path.join(directory, 'shared'))
  })

  test('that is not mounted hides nothing', async () => {
    fs.mkdirSync(path.join(directory, 'shared'))
    lastStatus('db1')
    const found = await gatherVolumes(path.join(directory, 'state'))
    expect(found).toMatchObject([{ volume: 'db1', state: 'unreadable' }])
    expect(found[0]?.reason).toMatch(/^register cannot be read: there is none in .*shared; is it mounted\?$/)
  })
})
