// Numbers that must not be mixed. Each unit is a plain number at run time; the optional tag makes the compiler refuse
// a Seq where an Epoch is wanted while literals and arithmetic stay free of casts.
// All values are integers below 2^53 (a sequence number at 10^6 per second lasts 285 years).

type Tagged<Unit extends string> = number & { readonly unit?: Unit }

/** A length or an offset in bytes. */
export type Bytes = Tagged<'Bytes'>
/** A length or an offset in 512-byte sectors, the smallest unit of a write. */
export type Sectors = Tagged<'Sectors'>
/** Number of a 4 KiB block of the volume. */
export type BlockNumber = Tagged<'BlockNumber'>
/** Number of a record in the volume's log, from 1, +1 each, never reused within one log. */
export type Seq = Tagged<'Seq'>
/** Number of a batch in the volume's log, from 1, +1 each. */
export type BatchSeq = Tagged<'BatchSeq'>
/** One ownership of a volume, claimed in the register (DESIGN.md, identity 1). */
export type Epoch = Tagged<'Epoch'>
/** One life of an engine process inside an epoch. */
export type Run = Tagged<'Run'>
/** A span or a point of time in milliseconds; which clock is said by the name that carries it. */
export type Ms = Tagged<'Ms'>

export const SECTOR_BYTES = 512
export const BLOCK_BYTES = 4096
export const SECTORS_PER_BLOCK = BLOCK_BYTES / SECTOR_BYTES
export const KIB = 1024
export const MIB = 1024 * 1024
export const GIB = 1024 * 1024 * 1024

/** Rounds up to a multiple of `unit` (any positive integer; exact below 2^53). */
export function roundUp(value: number, unit: number): number {
  return Math.ceil(value / unit) * unit
}

/** Rounds down to a multiple of `unit`. */
export function roundDown(value: number, unit: number): number {
  return Math.floor(value / unit) * unit
}
