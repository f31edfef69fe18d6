// INIT: what the kernel offers against what we take, as a pure decision (the kernel's side: process_init_reply in
// fs/fuse/inode.c). Two switches lose data silently when wrong: without
// ASYNC_DIO a short write reply counts as a whole write, and with WRITEBACK_CACHE a page cache holds what we have not
// seen. The first is demanded, the second never asked for.
import type { Bytes } from '../../../base/units.ts'
import { KIB, MIB } from '../../../base/units.ts'
import { CacheError } from '../../../base/errors.ts'
import {
  FUSE_MAJOR,
  FUSE_MINOR,
  FUSE_MINOR_MIN,
  INIT2_HAS_RESEND,
  INIT_ABORT_ERROR,
  INIT_ASYNC_DIO,
  INIT_ASYNC_READ,
  INIT_BIG_WRITES,
  INIT_EXTENDED,
  INIT_MAX_PAGES,
} from './abi.ts'

/** Longest READ or WRITE; the kernel's own default limit (/proc/sys/fs/fuse/max_pages_limit). */
export const TRANSFER_BYTES_MAX = MIB
/** Without MAX_PAGES the kernel sends at most 32 pages. */
const TRANSFER_BYTES_OLD = 128 * KIB
/** Asynchronous requests in flight. The kernel's default of 12 halves the throughput at queue depth 32. */
export const BACKGROUND_REQUESTS_MAX = 512

const WANTED = INIT_ASYNC_READ | INIT_BIG_WRITES | INIT_ASYNC_DIO | INIT_ABORT_ERROR | INIT_MAX_PAGES | INIT_EXTENDED

/** What the kernel says in INIT. */
export interface InitOffer {
  readonly major: number
  readonly minor: number
  readonly flags: number
  readonly flags2: number
}

/** What holds for the life of a connection. Saved by its first engine, handed to every later one. JSON-safe. */
export interface FuseSession {
  readonly minor: number
  readonly flags: number
  readonly flags2: number
  readonly maxWrite: Bytes
  /** The kernel knows FUSE_NOTIFY_RESEND: an engine may crash without an I/O error. */
  readonly resend: boolean
  /** 64 random bits as 16 hexadecimal digits: name of the connection in the log (DESIGN, identity 2). */
  readonly sessionHex: string
}

export interface NegotiateOptions {
  readonly sessionHex: string
  /** Behaves as on a kernel before 6.9. */
  readonly maskResend: boolean
}

function refusal(code: `CACHE_${string}`, message: string, remedy: string): CacheError {
  return new CacheError('invalid', code, message, { remedy })
}

/** What to answer, or why this kernel cannot carry a volume. */
export function negotiate(offer: InitOffer, options: NegotiateOptions): FuseSession | CacheError {
  if (offer.major !== FUSE_MAJOR || offer.minor < FUSE_MINOR_MIN) {
    return refusal(
      'CACHE_FUSE_VERSION',
      `unsupported FUSE protocol of the kernel version=${offer.major}.${offer.minor}`,
      'Use a kernel from 5.10 on; 6.9 or later also survives a crash of the engine without I/O errors.',
    )
  }
  if ((offer.flags & INIT_ASYNC_DIO) === 0) {
    return refusal(
      'CACHE_FUSE_NO_ASYNC_DIO',
      `the kernel does not offer FUSE_ASYNC_DIO flags=0x${offer.flags.toString(16)}`,
      'Without it a failed write can look like a successful one. Use a stock kernel from 5.10 on.',
    )
  }
  const flags = (offer.flags & WANTED) >>> 0
  const extended = (flags & INIT_EXTENDED) !== 0
  const resend = extended && !options.maskResend && (offer.flags2 & INIT2_HAS_RESEND) !== 0
  return {
    minor: Math.min(offer.minor, FUSE_MINOR),
    flags,
    flags2: resend ? INIT2_HAS_RESEND : 0,
    maxWrite: (flags & INIT_MAX_PAGES) === 0 ? TRANSFER_BYTES_OLD : TRANSFER_BYTES_MAX,
    resend,
    sessionHex: options.sessionHex,
  }
}
