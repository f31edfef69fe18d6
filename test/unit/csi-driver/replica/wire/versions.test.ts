// Proves: two builds take the largest version that both have, or find out that there is none, whatever else they speak.
// A version 2 of this test adds a field to one message and a message of its own; it speaks with itself, and version 1
// with a build that has only that. A type that the agreed version does not have is refused, not skipped.
import { BODIES_V1 } from '../../../../../csi-driver/replica/wire/bodies-v1.ts'
import { type BodyCodec, emptyBody, structBody } from '../../../../../csi-driver/replica/wire/body-codec.ts'
import { defineLayout, u32, u64, zeros } from '../../../../../base/layout.ts'
import type { FrameProblem } from '../../../../../csi-driver/replica/wire/frame-reader.ts'
import { FrameReader } from '../../../../../csi-driver/replica/wire/frame-reader.ts'
import { encodeMessage } from '../../../../../csi-driver/replica/wire/message-codec.ts'
import type { WireMessage } from '../../../../../csi-driver/replica/wire/messages.ts'
import {
  defineVersion,
  HANDSHAKE,
  MESSAGES_V1,
  negotiate,
  WIRE_VERSION_MAX,
  WIRE_VERSION_MIN,
  WIRE_VERSIONS,
  type WireVersions,
} from '../../../../../csi-driver/replica/wire/versions.ts'
import { HELLO, WELCOME } from './wire-kit.ts'

interface HeartbeatV2 {
  readonly type: 'HEARTBEAT'
  readonly number: number
  readonly loadPercent: number
}

const HEARTBEAT_V2 = defineLayout('HEARTBEAT of version 2', {
  number: u64(''),
  loadPercent: u32(''),
  reserved: zeros(4),
})
const heartbeatV2: BodyCodec<HeartbeatV2> = structBody(
  HEARTBEAT_V2,
  ({ number, loadPercent }) => ({ number, loadPercent }),
  ({ number, loadPercent }) => ({ type: 'HEARTBEAT', number, loadPercent }),
)

const V2 = defineVersion(2, [
  ...MESSAGES_V1.filter(([type]) => type !== 'HEARTBEAT'),
  ['HEARTBEAT', 4, heartbeatV2],
  ['PAUSE', 99, emptyBody({ type: 'PAUSE' }) as unknown as BodyCodec],
])
const BOTH: WireVersions = new Map([...WIRE_VERSIONS, [2, V2]])
const ONLY_2: WireVersions = new Map([[2, V2]])

const offered = (versions: WireVersions) => ({
  versionMin: Math.min(...versions.keys()),
  versionMax: Math.max(...versions.keys()),
})

test('negotiate', () => {
  expect([WIRE_VERSION_MIN, WIRE_VERSION_MAX]).toEqual([1, 1])
  expect(negotiate(offered(WIRE_VERSIONS))).toBe(1)
  expect(negotiate(offered(WIRE_VERSIONS), BOTH)).toBe(1)
  expect(negotiate(offered(BOTH), WIRE_VERSIONS)).toBe(1)
  expect(negotiate(offered(BOTH), BOTH)).toBe(2)
  expect(negotiate({ versionMin: 1, versionMax: 65_535 }, BOTH)).toBe(2)
  expect(negotiate(offered(WIRE_VERSIONS), ONLY_2)).toBe(null)
  expect(negotiate({ versionMin: 2, versionMax: 9 })).toBe(null)
})

test('numbers and types of a version are its own', () => {
  expect(() =>
    defineVersion(3, [
      ['A', 1, null],
      ['A', 2, null],
    ]),
  ).toThrow('differ')
  expect(() =>
    defineVersion(3, [
      ['A', 1, null],
      ['B', 1, null],
    ]),
  ).toThrow('differ')
  for (const version of WIRE_VERSIONS.values()) {
    for (const { code, type, from } of HANDSHAKE.byCode.values()) {
      expect([version.byCode.has(code), version.byType.has(type)]).toEqual([false, false])
      expect(from).toBe(code < 128 ? 'engine' : 'store')
    }
  }
  expect(BODIES_V1.HEARTBEAT.bytesMax).toBe(8)
})

/** An engine and a store of these builds: HELLO, an answer, then what the engine says. */
function converse(engine: WireVersions, store: WireVersions, says: readonly { readonly type: string }[]) {
  const heard: unknown[] = []
  const problems: FrameProblem[] = []
  const answers: WireMessage[] = []
  let chosen: number | null = null
  const atStore = new FrameReader({
    from: 'engine',
    versions: store,
    onProblem: (problem) => problems.push(problem),
    onMessage: (message) => {
      if (message.type !== 'HELLO') return heard.push(message)
      chosen = negotiate(message, store)
      if (chosen !== null) atStore.agree(chosen)
      const answer: WireMessage =
        chosen === null
          ? { type: 'REFUSED', code: 'version', message: 'no common version' }
          : ({ ...WELCOME, version: chosen } as WireMessage)
      for (const part of encodeMessage(answer, { version: 0, sequence: 1 }, store)) atEngine.push(part)
    },
  })
  const atEngine: FrameReader<'store'> = new FrameReader<'store'>({
    from: 'store',
    versions: engine,
    onProblem: (problem) => problems.push(problem),
    onMessage: (message) => {
      answers.push(message)
      if (message.type === 'WELCOME') atEngine.agree(message.version)
    },
  })
  const hello = { ...HELLO, ...offered(engine) }
  for (const part of encodeMessage(hello, { version: 0, sequence: 1 }, engine)) atStore.push(part)
  const version = answers[0]?.type === 'WELCOME' ? answers[0].version : null
  says.forEach((message, index) => {
    if (version === null) return
    for (const part of encodeMessage(message, { version, sequence: index + 2 }, engine)) atStore.push(part)
  })
  return { version, heard, problems, answers }
}

const BEAT = { type: 'HEARTBEAT', number: 9, loadPercent: 50 }

test('a new build speaks version 1 with an old one, in both directions', () => {
  for (const [engine, store] of [
    [BOTH, WIRE_VERSIONS],
    [WIRE_VERSIONS, BOTH],
  ] as const) {
    const { version, heard, problems } = converse(engine, store, [BEAT, { type: 'STATE' }])
    expect([version, problems]).toEqual([1, []])
    expect(heard).toEqual([{ type: 'HEARTBEAT', number: 9 }, { type: 'STATE' }])
  }
})

test('two new builds speak version 2', () => {
  const { version, heard, problems } = converse(BOTH, BOTH, [BEAT, { type: 'PAUSE' }, { type: 'STATE' }])
  expect([version, problems]).toEqual([2, []])
  expect(heard).toEqual([BEAT, { type: 'PAUSE' }, { type: 'STATE' }])
})

test('builds without a common version say so in words that both understand', () => {
  for (const [engine, store] of [
    [WIRE_VERSIONS, ONLY_2],
    [ONLY_2, WIRE_VERSIONS],
  ] as const) {
    const { answers, problems } = converse(engine, store, [])
    expect(answers).toEqual([{ type: 'REFUSED', code: 'version', message: 'no common version' }])
    expect(problems).toEqual([])
  }
})

test('what the agreed version does not have is refused', () => {
  // An engine that does not keep to the version: its own table says 1, with the messages of 2.
  const liar: WireVersions = new Map([[1, V2]])
  expect(converse(liar, WIRE_VERSIONS, [{ type: 'PAUSE' }]).problems).toEqual([
    expect.objectContaining({ label: 'type' }),
  ])
  expect(converse(liar, WIRE_VERSIONS, [BEAT]).problems).toEqual([expect.objectContaining({ label: 'length' })])
  expect(() => encodeMessage({ type: 'PAUSE' }, { version: 1, sequence: 2 }, BOTH)).toThrow('type=PAUSE')
})
