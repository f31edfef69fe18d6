// What is written while compression is measured: lines of a server's log, pages of a table, and noise, which stands for
// what is compressed or encrypted already. The same bytes in every run.
import { createPrng, type Prng } from '../../base/prng.ts'

export const PAYLOAD_KINDS = ['log', 'pages', 'noise'] as const
export type PayloadKind = (typeof PAYLOAD_KINDS)[number]

const PAGE_BYTES = 8192
/** Part of a page that is free, as after a while of inserts and deletes. */
const PAGE_FREE_SHARE = 0.15
const WORDS =
  'the request was served from cache after a retry because the backing device answered late user session token error warning timeout connect close open volume node peer'.split(
    ' ',
  )
const PATHS = ['/api/v1/orders', '/api/v1/users', '/healthz', '/static/app.js', '/login']

function words(prng: Prng, count: number): string {
  return Array.from({ length: count }, () => prng.pick(WORDS)).join(' ')
}

function logLine(prng: Prng, number: number): string {
  const at = new Date(1_760_000_000_000 + number * 37 + prng.below(30)).toISOString()
  if (prng.chance(0.5)) {
    const address = `10.${prng.below(4)}.${prng.below(256)}.${prng.below(256)}`
    return `${address} - - [${at}] "GET ${prng.pick(PATHS)} HTTP/1.1" ${prng.pick([200, 200, 304, 404])} ${prng.below(50_000)}\n`
  }
  const trace = prng.u32().toString(16).padStart(8, '0')
  return `${JSON.stringify({ at, level: prng.pick(['info', 'warn']), message: words(prng, 8), user: prng.below(1e6), trace })}\n`
}

function fillLog(bytes: Buffer, prng: Prng): void {
  for (let at = 0, number = 0; at < bytes.length; number++) at += bytes.write(logLine(prng, number), at, 'latin1')
}

/** A row: numbers, a name, a hash, sometimes a text. */
function row(prng: Prng, number: number): Buffer {
  const fixed = Buffer.alloc(40)
  fixed.writeUInt32LE(number, 0)
  fixed.writeInt32LE(prng.below(10_000) - 5000, 4)
  fixed.writeDoubleLE(prng.below(1e6) / 100, 8)
  for (let at = 16; at < fixed.length; at += 4) fixed.writeUInt32LE(prng.u32(), at)
  const text = prng.chance(0.5) ? words(prng, 8) : ''
  return Buffer.concat([fixed, Buffer.from(`${prng.pick(WORDS)}${prng.below(10_000)}@example.org\0${text}`)])
}

function fillPages(bytes: Buffer, prng: Prng): void {
  let number = 0
  for (let page = 0; page < bytes.length; page += PAGE_BYTES) {
    const end = Math.min(bytes.length, page + Math.floor(PAGE_BYTES * (1 - PAGE_FREE_SHARE)))
    for (let at = page; at < end; number++) at += row(prng, number).copy(bytes, at, 0, end - at)
  }
}

function fillNoise(bytes: Buffer, prng: Prng): void {
  for (let at = 0; at + 4 <= bytes.length; at += 4) bytes.writeUInt32LE(prng.u32(), at)
}

const FILLS: Readonly<Record<PayloadKind, (bytes: Buffer, prng: Prng) => void>> = {
  log: fillLog,
  pages: fillPages,
  noise: fillNoise,
}

export function payloadsOf(kind: PayloadKind, length: number): Buffer {
  const bytes = Buffer.alloc(length)
  FILLS[kind](bytes, createPrng(kind))
  return bytes
}
