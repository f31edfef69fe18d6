// Proves the handshake, message by message and byte by byte, and that no bytes of a client make it throw or grow.
import fc from 'fast-check'
import { Negotiation, OPTION_BYTES_MAX } from '../../../../../csi-driver/frontend/nbd/negotiation.ts'
import {
  CLIENT_FLAGS,
  go,
  info,
  listMeta,
  option,
  type OptionReply,
  optionReplies,
  setMeta,
  structured,
} from './nbd-frames.ts'

const ACK = 1
const SERVER = 2
const INFO = 3
const META = 4
const UNSUP = 0x80000001
const POLICY = 0x80000002
const INVALID = 0x80000003
const UNKNOWN = 0x80000006

class Handshake {
  said = Buffer.alloc(0)
  full: string | null = null
  canZero = true
  readonly negotiation = new Negotiation({
    send: (reply) => {
      this.said = Buffer.concat([this.said, reply])
    },
    offered: () => ({ name: 'db1', sizeBytes: 0x1_2345_6000, sectorBytes: 512, canZero: this.canZero }),
    refusal: () => this.full,
  })

  constructor(flags: Buffer | null = CLIENT_FLAGS) {
    this.negotiation.begin()
    this.heard()
    if (flags !== null) this.say(flags)
  }

  heard(): Buffer {
    const { said } = this
    this.said = Buffer.alloc(0)
    return said
  }

  say(bytes: Buffer): Buffer {
    this.negotiation.take(bytes, 0, bytes.length)
    return this.heard()
  }

  ask(bytes: Buffer): OptionReply[] {
    return optionReplies(this.say(bytes))
  }
}

const types = (replies: readonly OptionReply[]): number[] => replies.map(({ type }) => type)

test('the greeting, and GO, byte by byte', () => {
  const handshake = new Handshake(null)
  handshake.negotiation.begin()
  expect(handshake.heard().toString('hex')).toBe('4e42444d4147494349484156454f50540003')
  handshake.say(CLIENT_FLAGS)
  const head = '0003e889045565a900000007'
  const expected = [
    // REP_INFO, INFO_EXPORT: size and flags (all but READ_ONLY, ROTATIONAL, DF).
    `${head}000000030000000c000000000001234560000d6d`,
    // REP_INFO, INFO_BLOCK_SIZE: 512, 4096, 32 MiB.
    `${head}000000030000000e0003000002000000100002000000`,
    `${head}0000000100000000`,
  ]
  expect(handshake.say(go('db1')).toString('hex')).toBe(expected.join(''))
  expect(handshake.negotiation.session).toEqual({ structured: false, allocation: false })
})

test('the empty name is the export, INFO does not begin it, the name is told to who asks', () => {
  const handshake = new Handshake()
  const replies = handshake.ask(info('', 1, 77))
  expect(types(replies)).toEqual([INFO, INFO, INFO, ACK])
  expect(replies[1]?.data.toString('latin1')).toBe('\0\u0001db1')
  expect(handshake.negotiation.session).toBeNull()
  expect(types(handshake.ask(go('')))).toEqual([INFO, INFO, ACK])
  expect(handshake.negotiation.session).not.toBeNull()
})

test('EXPORT_NAME: size and flags, with 124 zeros unless both leave them out', () => {
  const plain = new Handshake(Buffer.from([0, 0, 0, 1]))
  expect(plain.say(option(1, Buffer.from('db1'))).toString('hex')).toBe(`00000001234560000d6d${'00'.repeat(124)}`)
  expect(plain.negotiation.session).toEqual({ structured: false, allocation: false })
  const short = new Handshake()
  expect(short.say(option(1)).length).toBe(10)
  const wrong = new Handshake()
  expect(wrong.say(option(1, Buffer.from('db2'))).length).toBe(0)
  expect(wrong.negotiation.ended).toBe(true)
})

test('trims are offered where zeroing is cheap, DF with structured replies', () => {
  const flagsOf = (handshake: Handshake): number => handshake.ask(info('db1'))[0]?.data.readUInt16BE(10) ?? 0
  const handshake = new Handshake()
  handshake.canZero = false
  expect(flagsOf(handshake) & 0x20).toBe(0)
  expect(flagsOf(handshake) & 0x80).toBe(0)
  handshake.ask(structured())
  expect(flagsOf(handshake) & 0x80).toBe(0x80)
})

test('LIST names the one export', () => {
  const [server, ack] = new Handshake().ask(option(3))
  expect(server).toMatchObject({ option: 3, type: SERVER, data: Buffer.from('\0\0\0\u0003db1') })
  expect(ack).toMatchObject({ option: 3, type: ACK })
  expect(types(new Handshake().ask(option(3, Buffer.from('x'))))).toEqual([INVALID])
})

test('ABORT is acknowledged and ends', () => {
  const handshake = new Handshake()
  expect(types(handshake.ask(option(2, Buffer.from('ignored'))))).toEqual([ACK])
  expect(handshake.negotiation.ended).toBe(true)
})

test.each<[string, Buffer, number]>([
  ['STARTTLS', option(5), POLICY],
  ['EXTENDED_HEADERS', option(11), UNSUP],
  ['an unknown option', option(4711, Buffer.from('data')), UNSUP],
  ['another export', go('db2'), UNKNOWN],
  ['information on another export', info('db2'), UNKNOWN],
  ['GO without a body', option(7), INVALID],
  ['a name longer than the option', option(7, Buffer.from('\0\0\0\u0009db1\0\0', 'latin1')), INVALID],
  [
    'more requests for information than there are',
    option(7, Buffer.from('\0\0\0\u0003db1\0\u0002\0\0', 'latin1')),
    INVALID,
  ],
  ['STRUCTURED_REPLY with data', option(8, Buffer.from('x')), INVALID],
  ['a context before structured replies', setMeta('db1', 'base:allocation'), INVALID],
])('%s is refused with a reason, and the client may go on', (_what, frame, type) => {
  const handshake = new Handshake()
  const [reply, ...more] = handshake.ask(frame)
  expect(reply?.type).toBe(type)
  expect(reply?.data.length).toBeGreaterThan(0)
  expect(more).toEqual([])
  expect(types(handshake.ask(go('db1')))).toEqual([INFO, INFO, ACK])
})

test('who comes to a full house is told so at GO, not at INFO', () => {
  const handshake = new Handshake()
  handshake.full = 'the limit is reached'
  expect(types(handshake.ask(info('db1')))).toEqual([INFO, INFO, ACK])
  expect(handshake.ask(go('db1'))).toMatchObject([{ type: POLICY, data: Buffer.from('the limit is reached') }])
  expect(handshake.negotiation.session).toBeNull()
})

describe('contexts', () => {
  const selects = (...queries: string[]): boolean => {
    const handshake = new Handshake()
    handshake.ask(structured())
    const replies = handshake.ask(setMeta('db1', ...queries))
    expect(replies.at(-1)?.type).toBe(ACK)
    handshake.ask(go('db1'))
    expect(replies.length).toBe(handshake.negotiation.session?.allocation === true ? 2 : 1)
    return handshake.negotiation.session?.allocation ?? false
  }

  test('SET takes the full name only', () => {
    expect(selects('base:allocation')).toBe(true)
    expect(selects('qemu:dirty-bitmap:b', 'base:allocation')).toBe(true)
    expect(selects('base:')).toBe(false)
    expect(selects('base:other')).toBe(false)
    expect(selects()).toBe(false)
  })

  test('the last SET counts, also when it fails', () => {
    const handshake = new Handshake()
    handshake.ask(structured())
    const [context] = handshake.ask(setMeta('db1', 'base:allocation'))
    expect(context).toMatchObject({ type: META, data: Buffer.from('\0\0\0\u0001base:allocation') })
    expect(types(handshake.ask(setMeta('db2', 'base:allocation')))).toEqual([UNKNOWN])
    handshake.ask(go('db1'))
    expect(handshake.negotiation.session?.allocation).toBe(false)
  })

  test.each<[string[], number]>([
    [[], 1],
    [['base:'], 1],
    [['base:allocation'], 1],
    [['base:allo'], 0],
    [['x-other:'], 0],
  ])('LIST of %j finds %i, and selects nothing', (queries, found) => {
    const handshake = new Handshake()
    handshake.ask(structured())
    const replies = handshake.ask(listMeta('db1', ...queries))
    expect(types(replies)).toEqual([...Array.from({ length: found }, () => META), ACK])
    handshake.ask(go('db1'))
    expect(handshake.negotiation.session?.allocation).toBe(false)
  })

  test('a number of queries that the data does not hold', () => {
    const handshake = new Handshake()
    handshake.ask(structured())
    const bytes = Buffer.from('\0\0\0\u0003db1\xff\xff\xff\xff\0\0\0\0', 'latin1')
    expect(types(handshake.ask(option(10, bytes)))).toEqual([INVALID])
  })
})

describe('who does not speak the protocol is cut off', () => {
  test.each<[string, Buffer]>([
    ['unknown client flags', Buffer.from([0, 0, 0, 7])],
    ['no option magic', Buffer.concat([CLIENT_FLAGS, Buffer.from('GET / HTTP/1.1\r\n\r\n')])],
    ['an option that is too long', Buffer.concat([CLIENT_FLAGS, option(7, Buffer.alloc(OPTION_BYTES_MAX + 1))])],
  ])('%s', (_what, bytes) => {
    const handshake = new Handshake(null)
    handshake.say(bytes)
    expect(handshake.negotiation).toMatchObject({ ended: true, session: null })
  })
})

test('bytes that come one by one or at once say the same, and what stands behind GO is left alone', () => {
  const all = Buffer.concat([
    CLIENT_FLAGS,
    structured(),
    setMeta('db1', 'base:allocation'),
    go('db1', 3),
    Buffer.from('rest'),
  ])
  const atOnce = new Handshake(null)
  expect(atOnce.negotiation.take(all, 0, all.length)).toBe(all.length - 4)
  const oneByOne = new Handshake(null)
  for (let at = 0; at < all.length - 4; at++) expect(oneByOne.negotiation.take(all, at, at + 1)).toBe(at + 1)
  expect(oneByOne.said).toEqual(atOnce.said)
  expect(oneByOne.negotiation.session).toEqual({ structured: true, allocation: true })
})

test('no bytes make it throw', () => {
  const frame = fc.oneof(
    fc.uint8Array({ maxLength: 64 }).map((bytes) => Buffer.from(bytes)),
    fc
      .tuple(fc.integer({ min: 0, max: 12 }), fc.uint8Array({ maxLength: 40 }))
      .map(([number, data]) => option(number, Buffer.from(data))),
  )
  fc.assert(
    fc.property(fc.array(frame, { maxLength: 12 }), fc.boolean(), (frames, flagged) => {
      const handshake = new Handshake(flagged ? CLIENT_FLAGS : null)
      for (const bytes of frames) {
        handshake.negotiation.take(bytes, 0, bytes.length)
        if (handshake.negotiation.session !== null || handshake.negotiation.ended) return
        optionReplies(handshake.heard())
      }
    }),
  )
})
