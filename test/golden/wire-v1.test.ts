// Proves: version 1 of the wire protocol is what it was: today's code makes the recorded bytes of its conversations again,
// and reads them, both sides, to the recorded text. Files are added for new versions, never edited.
import { readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import { envelopeOf, restoreFrame } from '../../csi-driver/replica/wire/envelope.ts'
import { FRAME_HEADER, FRAME_HEADER_BYTES } from '../../csi-driver/replica/wire/frame.ts'
import { FrameReader } from '../../csi-driver/replica/wire/frame-reader.ts'
import { encodeMessage } from '../../csi-driver/replica/wire/message-codec.ts'
import type { MessageFrom, Side, WireMessage } from '../../csi-driver/replica/wire/messages.ts'
import { MESSAGES_V1 } from '../../csi-driver/replica/wire/versions.ts'
import { BatchView, PAYLOAD_OK } from '../../csi-driver/batch/batch-view.ts'
import { OPENER_CONVERSATION, OWNER_CONVERSATION, READER_CONVERSATION } from './wire-v1-samples.ts'

const STORE_BIT = 0x80

/** The frames of a conversation, one after the other as they were sent. */
function framesIn(recording: Buffer): Buffer[] {
  const frames: Buffer[] = []
  for (let at = 0; at < recording.length; ) {
    const end = at + FRAME_HEADER_BYTES + FRAME_HEADER.get(recording, at, 'bodyBytes')
    frames.push(recording.subarray(at, end))
    at = end
  }
  return frames
}

function encoded(conversation: readonly WireMessage[]): Buffer[] {
  const sequences = { engine: 0, store: 0 }
  return conversation.map((message) => {
    const [probe] = encodeMessage(message, { version: 1, sequence: 0 })
    const from = (FRAME_HEADER.get(probe as Buffer, 0, 'type') & STORE_BIT) === 0 ? 'engine' : 'store'
    return Buffer.concat(encodeMessage(message, { version: 1, sequence: ++sequences[from] }))
  })
}

function valueText(value: unknown): unknown {
  if (Buffer.isBuffer(value)) return value.toString('hex')
  if (typeof value === 'bigint') return value.toString(16).padStart(16, '0')
  if (Array.isArray(value)) return value.map(valueText)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, valueText(inner)]))
}

/** One line for the frame, one for what the message says. */
function textOf(frame: Buffer, from: Side, message: MessageFrom<Side>): string {
  const { version, type, sequence, bodyBytes, bodyHash } = FRAME_HEADER.decode(frame, 0)
  const head = `${from} version=${version} type=${type} sequence=${sequence} bodyBytes=${bodyBytes}`
  const { type: name, ...rest } = message
  const isBatch = message.type === 'APPEND' || message.type === 'BATCH'
  const { codec, rawPayloadBytes, header, payload } = isBatch ? message : {}
  const fields = isBatch ? { codec, rawPayloadBytes, header, payload } : rest
  const said = Object.entries(fields).map(([field, value]) => `  ${field} ${JSON.stringify(valueText(value))}\n`)
  return `${head} bodyHash=${String(valueText(bodyHash))} ${name}\n${said.join('')}`
}

function decodedText(frames: readonly Buffer[]): string {
  const lines: string[] = []
  let frame = Buffer.alloc(0)
  const onProblem = ({ message }: { message: string }): void => expect(message).toBe('no problem') as never
  const atStore: FrameReader<'engine'> = new FrameReader<'engine'>({
    from: 'engine',
    onMessage: (message) => {
      if (message.type === 'HELLO') atStore.agree(1)
      lines.push(textOf(frame, 'engine', message))
    },
    onProblem,
  })
  const atEngine: FrameReader<'store'> = new FrameReader<'store'>({
    from: 'store',
    onMessage: (message) => {
      if (message.type === 'WELCOME') atEngine.agree(message.version)
      lines.push(textOf(frame, 'store', message))
    },
    onProblem,
  })
  for (const next of frames) {
    frame = Buffer.from(next)
    if ((FRAME_HEADER.get(frame, 0, 'type') & STORE_BIT) === 0) atStore.push(frame)
    else atEngine.push(frame)
  }
  expect([atStore.isInsideFrame, atEngine.isInsideFrame]).toEqual([false, false])
  return lines.join('')
}

test.each([
  ['wire-v1-owner', OWNER_CONVERSATION],
  ['wire-v1-opener', OPENER_CONVERSATION],
  ['wire-v1-reader', READER_CONVERSATION],
])('%s', (name, conversation) => {
  const recording = gunzipSync(readFileSync(`test/golden/${name}.bin.gz`))
  const frames = framesIn(recording)
  expect(Buffer.concat(encoded(conversation)).equals(recording)).toBe(true)
  expect(decodedText(frames)).toBe(readFileSync(`test/golden/${name}.txt`, 'utf8'))
})

test('every message of version 1 was recorded', () => {
  const all = [...OWNER_CONVERSATION, ...OPENER_CONVERSATION, ...READER_CONVERSATION]
  const said = new Set(all.map(({ type }) => type))
  expect(MESSAGES_V1.map(([type]) => type).filter((type) => !said.has(type))).toEqual([])
})

test('the recorded raw batch is a frame of the log', () => {
  const append = OWNER_CONVERSATION.find((message) => message.type === 'APPEND')
  const out = Buffer.alloc(8192, 0xee)
  const frameBytes = append?.type === 'APPEND' ? restoreFrame(append, out) : null
  const view = new BatchView()
  expect(view.parse(out, 0, frameBytes ?? 0)).toBe('ok')
  expect([view.checkPayload(), view.batchSeq]).toEqual([PAYLOAD_OK, 18])
  const again = envelopeOf({ buffer: out, start: 0, headerBytes: 4096, payloadBytes: view.payloadBytes })
  expect(append).toMatchObject(again)
})
