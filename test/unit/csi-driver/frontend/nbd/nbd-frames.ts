// NBD as a client speaks it, written down a second time from doc/proto.md: frames out of numbers, numbers out of bytes.
// Shares nothing with the sources, so that a wrong constant there is seen here.

const u16 = (value: number): Buffer => {
  const bytes = Buffer.alloc(2)
  bytes.writeUInt16BE(value)
  return bytes
}
const u32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}
const u64 = (value: bigint): Buffer => {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64BE(value)
  return bytes
}
const text = (value: string): Buffer => Buffer.concat([u32(Buffer.byteLength(value)), Buffer.from(value)])

/** Fixed newstyle and no zeroes. */
export const CLIENT_FLAGS = u32(3)

export function option(number: number, data: Buffer = Buffer.alloc(0)): Buffer {
  return Buffer.concat([Buffer.from('IHAVEOPT'), u32(number), u32(data.length), data])
}
export const go = (name: string, ...infos: number[]): Buffer => option(7, exportData(name, ...infos))
export const info = (name: string, ...infos: number[]): Buffer => option(6, exportData(name, ...infos))
export const structured = (): Buffer => option(8)
export const setMeta = (name: string, ...queries: string[]): Buffer => option(10, metaData(name, ...queries))
export const listMeta = (name: string, ...queries: string[]): Buffer => option(9, metaData(name, ...queries))

function exportData(name: string, ...infos: number[]): Buffer {
  return Buffer.concat([text(name), u16(infos.length), ...infos.map(u16)])
}
function metaData(name: string, ...queries: string[]): Buffer {
  return Buffer.concat([text(name), u32(queries.length), ...queries.map(text)])
}

export interface Asked {
  readonly command: number
  readonly flags?: number
  readonly cookie?: bigint
  readonly offset?: bigint
  readonly length?: number
  readonly payload?: Buffer
}

export const READ = 0
export const WRITE = 1
export const DISC = 2
export const FLUSH = 3
export const TRIM = 4
export const CACHE = 5
export const WRITE_ZEROES = 6
export const BLOCK_STATUS = 7

export function request({ command, flags = 0, cookie = 1n, offset = 0n, length, payload }: Asked): Buffer {
  const body = payload ?? Buffer.alloc(0)
  const frame = [u32(0x25609513), u16(flags), u16(command), u64(cookie), u64(offset), u32(length ?? body.length), body]
  return Buffer.concat(frame)
}

export interface OptionReply {
  readonly option: number
  readonly type: number
  readonly data: Buffer
}

/** All of `bytes` as option replies. */
export function optionReplies(bytes: Buffer): OptionReply[] {
  const replies: OptionReply[] = []
  for (let at = 0; at < bytes.length; ) {
    expect(bytes.readBigUInt64BE(at)).toBe(0x3e889045565a9n)
    const end = at + 20 + bytes.readUInt32BE(at + 16)
    expect(end).toBeLessThanOrEqual(bytes.length)
    const data = bytes.subarray(at + 20, end)
    replies.push({ option: bytes.readUInt32BE(at + 8), type: bytes.readUInt32BE(at + 12), data })
    at = end
  }
  return replies
}

export interface Reply {
  readonly cookie: bigint
  readonly kind: 'simple' | 'none' | 'data' | 'status' | 'error'
  readonly error: number
  readonly done: boolean
  readonly offset: bigint
  readonly data: Buffer
}

const CHUNKS: ReadonlyMap<number, Reply['kind']> = new Map([
  [0, 'none'],
  [1, 'data'],
  [5, 'status'],
  [0x8001, 'error'],
])

/** All of `bytes` as replies; `readLength` says how much data stands behind a simple reply without error. */
export function replies(bytes: Buffer, readLength: (cookie: bigint) => number = () => 0): Reply[] {
  const found: Reply[] = []
  for (let at = 0; at < bytes.length; ) {
    const [reply, end] = bytes.readUInt32BE(at) === 0x67446698 ? simple(bytes, at, readLength) : chunk(bytes, at)
    expect(end).toBeLessThanOrEqual(bytes.length)
    found.push(reply)
    at = end
  }
  return found
}

function simple(bytes: Buffer, at: number, readLength: (cookie: bigint) => number): [Reply, number] {
  const error = bytes.readUInt32BE(at + 4)
  const cookie = bytes.readBigUInt64BE(at + 8)
  const end = at + 16 + (error === 0 ? readLength(cookie) : 0)
  return [{ cookie, kind: 'simple', error, done: true, offset: 0n, data: bytes.subarray(at + 16, end) }, end]
}

function chunk(bytes: Buffer, at: number): [Reply, number] {
  expect(bytes.readUInt32BE(at)).toBe(0x668e33ef)
  const kind = CHUNKS.get(bytes.readUInt16BE(at + 6))
  expect(kind).toBeDefined()
  const end = at + 20 + bytes.readUInt32BE(at + 16)
  const payload = bytes.subarray(at + 20, end)
  const isData = kind === 'data'
  return [
    {
      cookie: bytes.readBigUInt64BE(at + 8),
      kind: kind ?? 'none',
      error: kind === 'error' ? payload.readUInt32BE(0) : 0,
      done: (bytes.readUInt16BE(at + 4) & 1) === 1,
      offset: isData ? payload.readBigUInt64BE(0) : 0n,
      data: isData ? payload.subarray(8) : payload,
    },
    end,
  ]
}
