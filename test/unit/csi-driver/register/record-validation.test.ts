// Proves that every valid record passes, that no value whatsoever makes the validation throw or pass by accident, and
// that every wrong field is reported at once with its path.
import fc from 'fast-check'
import type { RegisterRecord } from '../../../../csi-driver/register/record.ts'
import { validateRecord } from '../../../../csi-driver/register/record-validation.ts'
import { anyRecord, aRecord, logUuidOf, MEMBER } from './records.ts'

function problemsOf(value: unknown): readonly string[] {
  const validation = validateRecord(value)
  return 'problems' in validation ? validation.problems : []
}

test('a valid record is given back unchanged', () => {
  fc.assert(fc.property(anyRecord, (record) => expect(validateRecord(record)).toEqual({ record })))
})

test('arbitrary values never throw and never pass', () => {
  fc.assert(
    fc.property(
      fc.anything({ withBigInt: true, withDate: true, withNullPrototype: true, withSparseArray: true }),
      (value) => problemsOf(value).length > 0,
    ),
  )
})

test('a record with one arbitrary field never throws, and passes only if the field is as it should be', () => {
  const fields = Object.keys(aRecord()) as (keyof RegisterRecord)[]
  fc.assert(
    fc.property(fc.constantFrom(...fields), fc.anything({ withBigInt: true }), (field, value) => {
      const validation = validateRecord({ ...aRecord(), [field]: value })
      if ('problems' in validation) expect(validation.problems.length).toBeGreaterThan(0)
      else expect(typeof validation.record[field]).toBe(typeof aRecord()[field])
    }),
  )
})

test('every problem is reported at once, with path and value, and the key never', () => {
  const record = {
    ...aRecord(),
    volume: '../etc',
    rv: 0,
    extra: 1,
    members: [{ ...MEMBER, incarnation: 1.5 }],
    volumeKey: 'secret',
  }
  const { owner: _, ...withoutOwner } = record
  const problems = problemsOf({ ...withoutOwner, backing: { kind: 'tape', id: '', sizeBytes: -1 } })
  expect(problems).toEqual([
    'volume is not a volume name value="../etc"',
    'rv is not an integer of at least 1 value=0',
    'owner is not a node name value=missing',
    'volumeKey is not 64 lower-case hex digits value=hidden',
    'extra is unknown value=1',
    'members[0].incarnation is not an integer of at least 1 value=1.5',
    'backing.kind is not one of block, file value="tape"',
    'backing.id is not a text value=""',
    'backing.sizeBytes is not an integer of at least 1 value=-1',
  ])
})

test.each([
  ['no member', { members: [] }, 'members is empty in a dirty volume'],
  ['no log', { logUuid: '0'.repeat(32) }, 'logUuid names no log in a dirty volume'],
  ['clean write-back', { dirty: false }, 'dirty is false in phase WriteBack'],
  ['detached while dirty', { phase: 'Detached' }, 'dirty is true in phase Detached'],
  ['a log of the future', { logUuid: logUuidOf(3) }, 'logUuid is newer than the epoch'],
  ['a log name beyond every number', { logUuid: 'f'.repeat(32) }, 'logUuid is newer than the epoch'],
  ['a store twice', { members: [MEMBER, { ...MEMBER, incarnation: 8 }] }, 'members lists a store twice'],
  [
    'the present owner unfenced',
    { unfenced: [{ node: 'node-1', epoch: 2 }] },
    'unfenced lists an epoch that has not ended',
  ],
  [
    'an epoch twice',
    {
      unfenced: [
        { node: 'node-1', epoch: 1 },
        { node: 'node-2', epoch: 1 },
      ],
    },
    'unfenced lists an epoch twice',
  ],
  ['previousPhase Opening', { previousPhase: 'Opening' }, 'previousPhase is not one of'],
  ['too many members', { members: Array(5).fill(MEMBER) }, 'members is not a list of at most 4'],
])('a record with %s is refused', (_name, changes, problem) => {
  expect(problemsOf({ ...aRecord(), ...changes }).join('; ')).toContain(problem)
})
