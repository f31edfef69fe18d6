// Is this value a register record? Every problem is reported at once, with path and value; no value makes it throw.
// Two steps: the shape of each field, and, only when all shapes are right, what must hold between fields.
import {
  BACKING_ID_CHARACTERS_MAX,
  BACKING_KINDS,
  CHANGE_ID_PATTERN,
  logEpoch,
  MEMBERS_MAX,
  NODE_NAME_PATTERN,
  NO_LOG_UUID,
  PHASES,
  RECORD_FORMAT_VERSION,
  type RegisterRecord,
  UNFENCED_MAX,
  UUID_PATTERN,
  VOLUME_KEY_PATTERN,
  VOLUME_NAME_PATTERN,
} from './record.ts'

export type RecordValidation = { readonly record: RegisterRecord } | { readonly problems: readonly string[] }

/** Says what is wrong with a value, or null. */
type Check = (value: unknown) => string | null
type Fields = Readonly<Record<string, Check>>

/** Longest part of a wrong value that a problem quotes. */
const QUOTE_CHARACTERS_MAX = 80

function quote(value: unknown): string {
  if (value === undefined) return 'missing'
  try {
    const text = typeof value === 'bigint' ? `${value}n` : (JSON.stringify(value) ?? typeof value)
    return text.length > QUOTE_CHARACTERS_MAX ? `${text.slice(0, QUOTE_CHARACTERS_MAX)}…` : text
  } catch {
    return typeof value
  }
}

const text = (pattern: RegExp, wanted: string): Check => {
  return (value) => (typeof value === 'string' && pattern.test(value) ? null : `is not ${wanted}`)
}
const integer = (least: number): Check => {
  return (value) =>
    Number.isSafeInteger(value) && Number(value) >= least ? null : `is not an integer of at least ${least}`
}
const oneOf = (allowed: readonly unknown[]): Check => {
  return (value) => (allowed.includes(value) ? null : `is not one of ${allowed.map(String).join(', ')}`)
}

const node = text(NODE_NAME_PATTERN, 'a node name')
const uuid = text(UUID_PATTERN, '32 lower-case hex digits')

const RECORD_FIELDS: Fields = {
  formatVersion: oneOf([RECORD_FORMAT_VERSION]),
  volume: text(VOLUME_NAME_PATTERN, 'a volume name'),
  volumeUuid: uuid,
  registerNonce: uuid,
  rv: integer(1),
  changeId: text(CHANGE_ID_PATTERN, '16 lower-case hex digits'),
  epoch: integer(1),
  owner: node,
  logUuid: uuid,
  members: (value) =>
    Array.isArray(value) && value.length <= MEMBERS_MAX ? null : `is not a list of at most ${MEMBERS_MAX}`,
  phase: oneOf(PHASES),
  previousPhase: oneOf(PHASES.filter((phase) => phase !== 'Opening')),
  dirty: oneOf([true, false]),
  unfenced: (value) =>
    Array.isArray(value) && value.length <= UNFENCED_MAX ? null : `is not a list of at most ${UNFENCED_MAX}`,
  lastSeq: integer(0),
  volumeKey: text(VOLUME_KEY_PATTERN, '64 lower-case hex digits'),
  backing: (value) => (isObject(value) ? null : 'is not an object'),
}
const MEMBER_FIELDS: Fields = { node, storeUuid: uuid, incarnation: integer(1) }
const UNFENCED_FIELDS: Fields = { node, epoch: integer(1) }
const BACKING_FIELDS: Fields = {
  kind: oneOf(BACKING_KINDS),
  id: (value) => {
    if (typeof value !== 'string' || value.length === 0) return 'is not a text'
    return value.length <= BACKING_ID_CHARACTERS_MAX ? null : `is longer than ${BACKING_ID_CHARACTERS_MAX} characters`
  },
  sizeBytes: integer(1),
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Shape of one object: each field, and no others. */
function checkFields(value: unknown, fields: Fields, path: string): string[] {
  if (!isObject(value)) return [`${path === '' ? 'record' : path} is not an object value=${quote(value)}`]
  const problems: string[] = []
  const name = (field: string): string => (path === '' ? field : `${path}.${field}`)
  for (const [field, check] of Object.entries(fields)) {
    // Own properties only: a record never takes a field from a prototype.
    const held = Object.hasOwn(value, field) ? value[field] : undefined
    const problem = check(held)
    // The volume key is a secret and stays out of messages.
    if (problem !== null)
      problems.push(`${name(field)} ${problem} value=${field === 'volumeKey' ? 'hidden' : quote(held)}`)
  }
  for (const field of Object.keys(value)) {
    if (!Object.hasOwn(fields, field)) problems.push(`${name(field)} is unknown value=${quote(value[field])}`)
  }
  return problems
}

function checkList(value: unknown, fields: Fields, path: string): string[] {
  if (!Array.isArray(value)) return []
  return value.slice(0, MEMBERS_MAX + UNFENCED_MAX).flatMap((entry, i) => checkFields(entry, fields, `${path}[${i}]`))
}

function duplicates(names: readonly string[]): boolean {
  return new Set(names).size !== names.length
}

/** What must hold between the fields of a record whose shape is right. */
function checkRelations(record: RegisterRecord): string[] {
  const problems: string[] = []
  const demand = (holds: boolean, problem: string): void => {
    if (!holds) problems.push(problem)
  }
  const { dirty, epoch, logUuid, members, phase, unfenced } = record
  demand(!dirty || members.length > 0, 'members is empty in a dirty volume')
  demand(!dirty || logUuid !== NO_LOG_UUID, 'logUuid names no log in a dirty volume')
  demand(dirty || phase !== 'WriteBack', 'dirty is false in phase WriteBack')
  demand(!dirty || phase !== 'Detached', 'dirty is true in phase Detached')
  demand(logEpoch(logUuid) <= epoch, `logUuid is newer than the epoch logUuid=${logUuid} epoch=${epoch}`)
  demand(!duplicates(members.map((member) => member.storeUuid)), 'members lists a store twice')
  demand(!duplicates(unfenced.map((entry) => `${entry.epoch}`)), 'unfenced lists an epoch twice')
  demand(
    unfenced.every((entry) => entry.epoch < epoch),
    `unfenced lists an epoch that has not ended epoch=${epoch}`,
  )
  return problems
}

/** Takes any value whatsoever. The record in the answer is the value itself, unchanged. */
export function validateRecord(value: unknown): RecordValidation {
  const problems = checkFields(value, RECORD_FIELDS, '')
  if (isObject(value)) {
    problems.push(...checkList(value['members'], MEMBER_FIELDS, 'members'))
    problems.push(...checkList(value['unfenced'], UNFENCED_FIELDS, 'unfenced'))
    if (isObject(value['backing'])) problems.push(...checkFields(value['backing'], BACKING_FIELDS, 'backing'))
  }
  if (problems.length > 0) return { problems }
  const record = value as RegisterRecord
  const broken = checkRelations(record)
  return broken.length > 0 ? { problems: broken } : { record }
}
