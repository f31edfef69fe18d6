// Text of a register record: one line of JSON with the fields in a fixed order, closed by a CRC-32 of everything
// before it. The same text stands in register files and in the cache's superblock. docs/formats/register.md.
// There is exactly one text for a record: decoding refuses any other spelling, so that comparing texts compares records.
import { CacheError } from '../../base/errors.ts'
import { crc32 } from '../../base/crc32.ts'
import { RECORD_BYTES_MAX, RECORD_FORMAT_VERSION, type RegisterRecord } from './record.ts'
import { type RecordValidation, validateRecord } from './record-validation.ts'

/** `newerFormat`: nothing is wrong with the text, but a later build made it; only its format is known. */
export type DecodedRecord = RecordValidation & { readonly newerFormat?: number }

const CHECKSUM_TAIL = /^(\{.*),"checksum":"([0-9a-f]{8})"\}$/su

function checksumOf(body: string): string {
  const bytes = Buffer.from(body, 'utf8')
  return crc32(bytes, 0, bytes.length).toString(16).padStart(8, '0')
}

/** The fields in the order of the stored text. */
function ordered(record: RegisterRecord): RegisterRecord {
  return {
    formatVersion: record.formatVersion,
    volume: record.volume,
    volumeUuid: record.volumeUuid,
    registerNonce: record.registerNonce,
    rv: record.rv,
    changeId: record.changeId,
    epoch: record.epoch,
    owner: record.owner,
    logUuid: record.logUuid,
    members: record.members.map(({ node, storeUuid, incarnation }) => ({ node, storeUuid, incarnation })),
    phase: record.phase,
    previousPhase: record.previousPhase,
    dirty: record.dirty,
    unfenced: record.unfenced.map(({ node, epoch }) => ({ node, epoch })),
    lastSeq: record.lastSeq,
    volumeKey: record.volumeKey,
    backing: { kind: record.backing.kind, id: record.backing.id, sizeBytes: record.backing.sizeBytes },
  }
}

/**
 * One line without a line feed, at most RECORD_BYTES_MAX bytes in UTF-8.
 * Throws `full` when the record is longer, which only very long names together can cause.
 */
export function encodeRecord(record: RegisterRecord): string {
  const body = JSON.stringify(ordered(record)).slice(0, -1)
  const line = `${body},"checksum":"${checksumOf(body)}"}`
  const bytes = Buffer.byteLength(line)
  if (bytes <= RECORD_BYTES_MAX) return line
  throw new CacheError(
    'full',
    'CACHE_REGISTER_RECORD_TOO_LONG',
    `the register record is too long volume=${record.volume} bytes=${bytes} bytesMax=${RECORD_BYTES_MAX}`,
    { remedy: 'Use shorter node names, or fence the earlier owners that the record lists.' },
  )
}

/** Looked at before the fields: what a later build calls them, and which of them are secret, is not known here. */
function newerFormatOf(value: unknown): number | null {
  if (typeof value !== 'object' || value === null || !('formatVersion' in value)) return null
  const { formatVersion } = value
  return typeof formatVersion === 'number' && formatVersion > RECORD_FORMAT_VERSION ? formatVersion : null
}

/** Takes any text; a record comes out only of a text that encodeRecord made. */
export function decodeRecord(line: string): DecodedRecord {
  const match = CHECKSUM_TAIL.exec(line)
  if (match === null) return { problems: [`text is not a record with a checksum characters=${line.length}`] }
  const [, body = '', stored = ''] = match
  const computed = checksumOf(body)
  if (computed !== stored) return { problems: [`checksum does not match stored=${stored} computed=${computed}`] }
  let value: unknown
  try {
    value = JSON.parse(`${body}}`)
  } catch {
    return { problems: ['text is not JSON'] }
  }
  const newerFormat = newerFormatOf(value)
  if (newerFormat !== null) {
    const problem = `it has a newer format than this build reads formatVersion=${newerFormat} supported=${RECORD_FORMAT_VERSION}`
    return { problems: [problem], newerFormat }
  }
  const validation = validateRecord(value)
  if ('problems' in validation) return validation
  if (Buffer.byteLength(line) > RECORD_BYTES_MAX) return { problems: [`text is longer than ${RECORD_BYTES_MAX} bytes`] }
  return encodeRecord(validation.record) === line ? validation : { problems: ['text is not in its canonical form'] }
}
