// Proves what is said of a volume whose engine does not answer: stopped, stopped with dirty data (how much, how old),
// restarting while a holder lives, or a register that cannot be read.
import { stoppedStatus } from '../../../../csi-driver/cli/volume-list.ts'
import type { LastStatus } from '../../../../csi-driver/observe/last-status.ts'
import type { RegisterRecord } from '../../../../csi-driver/register/record.ts'

const LAST: LastStatus = {
  dirtyBytes: 5000,
  oldestDirtyWallMs: 40_000,
  atWallMs: 90_000,
  backing: '/dev/sdb',
  cache: '/cache',
  writePolicy: 'write-back',
  reason: 'something',
}
const RECORD = {
  volume: 'db1',
  epoch: 7,
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
    reason: 'register is damaged: a; b',
    phase: 'unknown',
  })
})
