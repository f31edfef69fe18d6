// Fixed-size structs, declared once: a list of fields with kind and meaning gives the offsets, the encoder, the decoder
// and the table of docs/formats. Nobody counts an offset by hand. Little-endian, no implicit padding: gaps are declared
// as `zeros` and checked, so that a later version can use them without an old reader taking them for noise.
// The codec proper of a hot path takes `offsets` and writes through a DataView; everything else uses encode and decode.
import { assert } from './assert.ts'
import { getU48, getU53, isU53, isZero, setU48, setU53, viewOf } from './bytes.ts'
import { CacheError } from './errors.ts'

type NumberKind = 'u8' | 'u16' | 'u32' | 'u48' | 'u64'
type FieldKind = NumberKind | 'u64big' | 'bytes' | 'zeros'

export interface Field<Kind extends FieldKind = FieldKind> {
  readonly kind: Kind
  readonly size: number
  readonly meaning: string
}

export type Fields = Readonly<Record<string, Field>>

type ValueOf<F extends Field> = F['kind'] extends 'u64big' ? bigint : F['kind'] extends 'bytes' ? Buffer : number
type StoredNames<F extends Fields> = { [Name in keyof F]: F[Name]['kind'] extends 'zeros' ? never : Name }[keyof F]

/** What encode takes and decode gives: number, bigint for u64big, Buffer for bytes. Padding has no value. */
export type LayoutValues<F extends Fields> = { [Name in StoredNames<F>]: ValueOf<F[Name]> }

export const u8 = (meaning: string): Field<'u8'> => ({ kind: 'u8', size: 1, meaning })
export const u16 = (meaning: string): Field<'u16'> => ({ kind: 'u16', size: 2, meaning })
export const u32 = (meaning: string): Field<'u32'> => ({ kind: 'u32', size: 4, meaning })
export const u48 = (meaning: string): Field<'u48'> => ({ kind: 'u48', size: 6, meaning })
/** 64 bits on disk, a number below 2^53 in memory; a larger one fails to decode. */
export const u64 = (meaning: string): Field<'u64'> => ({ kind: 'u64', size: 8, meaning })
/** 64 bits, all of them used (hashes, random identifiers). */
export const u64big = (meaning: string): Field<'u64big'> => ({ kind: 'u64big', size: 8, meaning })
export const bytes = (size: number, meaning: string): Field<'bytes'> => ({ kind: 'bytes', size, meaning })
/** Padding: written as zero, refused when it is not. */
export const zeros = (size: number): Field<'zeros'> => ({ kind: 'zeros', size, meaning: 'zero, checked' })

export interface Layout<F extends Fields> {
  readonly name: string
  readonly size: number
  readonly offsets: { readonly [Name in keyof F]: number }
  /** Writes all fields at buffer[start, start+size). Throws AssertionError for a value that does not fit. */
  encode(buffer: Buffer, start: number, values: LayoutValues<F>): void
  /**
   * Reads all fields; Buffers are copies. Throws CacheError `corrupt` (CACHE_LAYOUT) for a number of 2^53 or more,
   * padding that is not zero, or a buffer that is too short.
   */
  decode(buffer: Buffer, start: number): LayoutValues<F>
  get<Name extends StoredNames<F>>(buffer: Buffer, start: number, name: Name): ValueOf<F[Name]>
  set<Name extends StoredNames<F>>(buffer: Buffer, start: number, name: Name, value: ValueOf<F[Name]>): void
  /** The table of docs/formats, Markdown: offset, size, field, kind, meaning. */
  dump(): string
}

const NUMBER_LIMIT: Readonly<Record<NumberKind, number>> = {
  u8: 2 ** 8,
  u16: 2 ** 16,
  u32: 2 ** 32,
  u48: 2 ** 48,
  u64: 2 ** 53,
}

function damaged(layout: string, name: string, what: string): CacheError {
  return new CacheError('corrupt', 'CACHE_LAYOUT', `${what} struct=${layout} field=${name}`)
}

const READ: Readonly<Record<NumberKind, (view: DataView, at: number) => number>> = {
  u8: (view, at) => view.getUint8(at),
  u16: (view, at) => view.getUint16(at, true),
  u32: (view, at) => view.getUint32(at, true),
  u48: getU48,
  u64: getU53,
}

const WRITE: Readonly<Record<NumberKind, (view: DataView, at: number, value: number) => void>> = {
  u8: (view, at, value) => view.setUint8(at, value),
  u16: (view, at, value) => view.setUint16(at, value, true),
  u32: (view, at, value) => view.setUint32(at, value, true),
  u48: setU48,
  u64: setU53,
}

type AnyValue = number | bigint | Buffer

/** Undefined where the bytes are not a legal value of the field. */
function readField(buffer: Buffer, at: number, field: Field): AnyValue | undefined {
  if (field.kind === 'zeros') return isZero(buffer, at, at + field.size) ? 0 : undefined
  if (field.kind === 'bytes') return Buffer.from(buffer.subarray(at, at + field.size))
  if (field.kind === 'u64big') return viewOf(buffer).getBigUint64(at, true)
  const value = READ[field.kind](viewOf(buffer), at)
  return Number.isNaN(value) ? undefined : value
}

/** False where the value is not one of the field. */
function writeField(buffer: Buffer, at: number, field: Field, value: AnyValue | undefined): boolean {
  if (field.kind === 'zeros') {
    buffer.fill(0, at, at + field.size)
    return true
  }
  if (field.kind === 'bytes') {
    if (!Buffer.isBuffer(value) || value.length !== field.size) return false
    value.copy(buffer, at)
    return true
  }
  if (field.kind === 'u64big') {
    if (typeof value !== 'bigint' || BigInt.asUintN(64, value) !== value) return false
    viewOf(buffer).setBigUint64(at, value, true)
    return true
  }
  if (typeof value !== 'number' || !isU53(value) || value >= NUMBER_LIMIT[field.kind]) return false
  WRITE[field.kind](viewOf(buffer), at, value)
  return true
}

/** Declares a struct; the order of `fields` is the order on disk. */
export function defineLayout<const F extends Fields>(name: string, fields: F): Layout<F> {
  const entries = Object.entries(fields)
  const offsetOf = new Map<string, number>()
  let size = 0
  for (const [fieldName, field] of entries) {
    assert(Number.isInteger(field.size) && field.size > 0, `field has a size field=${fieldName}`)
    offsetOf.set(fieldName, size)
    size += field.size
  }

  const locate = (fieldName: string): { field: Field; offset: number } => {
    const field = fields[fieldName]
    const offset = offsetOf.get(fieldName)
    assert(field !== undefined && offset !== undefined, `field exists struct=${name} field=${fieldName}`)
    return { field, offset }
  }
  const readOne = (buffer: Buffer, start: number, fieldName: string): AnyValue => {
    const { field, offset } = locate(fieldName)
    if (start < 0 || start + offset + field.size > buffer.length) throw damaged(name, fieldName, 'input too short')
    const value = readField(buffer, start + offset, field)
    if (value === undefined) throw damaged(name, fieldName, 'value out of range')
    return value
  }
  const writeOne = (buffer: Buffer, start: number, fieldName: string, value: AnyValue | undefined): void => {
    const { field, offset } = locate(fieldName)
    assert(start >= 0 && start + offset + field.size <= buffer.length, `struct inside buffer struct=${name}`)
    assert(writeField(buffer, start + offset, field, value), `value fits struct=${name} field=${fieldName}`)
  }

  return {
    name,
    size,
    offsets: Object.fromEntries(offsetOf) as { readonly [Name in keyof F]: number },
    encode(buffer, start, values) {
      const given = values as Readonly<Record<string, AnyValue | undefined>>
      for (const [fieldName] of entries) writeOne(buffer, start, fieldName, given[fieldName])
    },
    decode(buffer, start) {
      const values: Record<string, AnyValue> = {}
      for (const [fieldName, field] of entries) {
        const value = readOne(buffer, start, fieldName)
        if (field.kind !== 'zeros') values[fieldName] = value
      }
      return values as LayoutValues<F>
    },
    get: (buffer, start, fieldName) => readOne(buffer, start, fieldName as string) as ValueOf<F[typeof fieldName]>,
    set: (buffer, start, fieldName, value) => writeOne(buffer, start, fieldName as string, value),
    dump() {
      const rows = entries.map(
        ([fieldName, field]) =>
          `| ${offsetOf.get(fieldName)} | ${field.size} | ${fieldName} | ${field.kind} | ${field.meaning} |`,
      )
      return ['| offset | size | field | kind | meaning |', '| ---: | ---: | --- | --- | --- |', ...rows].join('\n')
    },
  }
}
