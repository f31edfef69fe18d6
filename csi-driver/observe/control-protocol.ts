// The language of the control socket: one JSON object per line, in both directions.
//
//   request   {"id":7,"method":"drain","params":{}}
//   reply     {"id":7,"progress":{…}}  any number of times, then exactly one of
//             {"id":7,"result":…}      {"id":7,"error":{"kind":…,"code":…,"message":…,"remedy":…}}
//
// `id` is chosen by the caller and must differ among its open requests. Nothing a peer sends makes a parser throw; a
// line beyond LINE_BYTES_MAX ends the connection, since where the next one begins is then unknown.
import { isAbsolute } from 'node:path'
import { CacheError, type ErrorKind } from '../../base/errors.ts'
import type { Epoch } from '../../base/units.ts'
import { NODE_NAME_PATTERN } from '../io/peer-network.ts'
import { UUID_PATTERN } from '../register/record.ts'
import type { PolicyName } from './status.ts'

export const LINE_BYTES_MAX = 64 * 1024
/** Longest path in a request (PATH_MAX). */
const PATH_CHARACTERS_MAX = 4096
const PROOF_PATTERN = /^[0-9a-f]{64}$/
const QUIESCE_MS_MAX = 10 * 60_000

export type ControlRequest = { readonly id: number } & ControlCall
export type ControlCall =
  | { readonly method: 'status' | 'drain' | 'stop' | 'resize' }
  | { readonly method: 'policy'; readonly policy: PolicyName }
  | { readonly method: 'upgrade'; readonly build: string | null; readonly quiesceMs: number }
  | { readonly method: 'move'; readonly to: string }
  | ({ readonly method: 'end-older' } & EndOlder)

/** A replica store of this node has promised the volume to an engine of that epoch. */
export interface EndOlder {
  readonly volumeUuid: string
  readonly epoch: Epoch
  /** That it knows the volume key, store-proof.ts. */
  readonly proof: string
}

export interface ControlProblem {
  readonly kind: ErrorKind
  readonly code: string
  readonly message: string
  readonly remedy: string | null
}

export type ControlReply =
  | { readonly id: number; readonly progress: unknown }
  | { readonly id: number; readonly result: unknown }
  | { readonly id: number | null; readonly error: ControlProblem }

const KINDS: readonly ErrorKind[] = ['retry', 'unknown-outcome', 'full', 'fenced', 'invalid', 'corrupt']

function invalid(message: string): ControlProblem {
  return { kind: 'invalid', code: 'CACHE_CONTROL_REQUEST', message, remedy: null }
}

export function problemOf(error: unknown): ControlProblem {
  if (error instanceof CacheError) {
    return { kind: error.kind, code: error.code, message: error.message, remedy: error.remedy ?? null }
  }
  const message = error instanceof Error ? error.message : String(error)
  return { kind: 'unknown-outcome', code: 'CACHE_INTERNAL', message, remedy: null }
}

/** The error at the caller's end. */
export function errorOf(problem: ControlProblem): CacheError {
  const code = problem.code.startsWith('CACHE_') ? (problem.code as `CACHE_${string}`) : 'CACHE_INTERNAL'
  return new CacheError(problem.kind, code, problem.message, problem.remedy === null ? {} : { remedy: problem.remedy })
}

function objectOf(value: unknown): Record<string, unknown> | null {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : null
}

function parseObject(line: string): Record<string, unknown> | null {
  try {
    return objectOf(JSON.parse(line))
  } catch {
    return null
  }
}

/** Reads one line of a caller. The problem carries the id where one could be read. */
export function parseRequest(line: string): ControlRequest | RefusedLine {
  return parseCall(line, callOf)
}

export interface RefusedLine {
  readonly id: number | null
  readonly error: ControlProblem
}

/** Reads the frame of a request; `read` makes the call of method and params, or says what is wrong with them. */
export function parseCall<C extends object>(
  line: string,
  read: (method: unknown, params: Readonly<Record<string, unknown>>) => C | string,
): (C & { readonly id: number }) | RefusedLine {
  const given = parseObject(line)
  const id = given?.['id']
  if (given === null || typeof id !== 'number' || !Number.isSafeInteger(id)) {
    return { id: null, error: invalid('request is not a JSON object with an integer id') }
  }
  const params = objectOf(given['params'] ?? {})
  if (params === null) return { id, error: invalid('params is not an object') }
  const call = read(given['method'], params)
  return typeof call === 'string' ? { id, error: invalid(call) } : { id, ...call }
}

function callOf(method: unknown, params: Readonly<Record<string, unknown>>): ControlCall | string {
  switch (method) {
    case 'status':
    case 'drain':
    case 'stop':
    case 'resize':
      return { method }
    case 'policy':
      return policyOf(params)
    case 'upgrade':
      return upgradeOf(params)
    case 'move':
      return moveOf(params)
    case 'end-older':
      return endOlderOf(params)
    default:
      return `unknown method=${JSON.stringify(method)?.slice(0, 80)}`
  }
}

function policyOf({ policy }: { readonly policy?: unknown }): ControlCall | string {
  if (policy !== 'write-back' && policy !== 'write-through') return 'policy is neither write-back nor write-through'
  return { method: 'policy', policy }
}

function moveOf({ to }: { readonly to?: unknown }): ControlCall | string {
  if (typeof to !== 'string' || !NODE_NAME_PATTERN.test(to)) return 'to is no name of a node'
  return { method: 'move', to }
}

function upgradeOf(params: Readonly<Record<string, unknown>>): ControlCall | string {
  const build = params['build'] ?? null
  const quiesceMs = params['quiesceMs']
  if (build !== null && !isBuildPath(build)) return 'build is no absolute path'
  if (typeof quiesceMs !== 'number' || !(quiesceMs >= 0 && quiesceMs <= QUIESCE_MS_MAX)) {
    return `quiesceMs is not a number from 0 to ${QUIESCE_MS_MAX}`
  }
  return { method: 'upgrade', build, quiesceMs }
}

function endOlderOf(params: Readonly<Record<string, unknown>>): ControlCall | string {
  const { volumeUuid, epoch, proof } = params as Record<string, unknown>
  if (typeof volumeUuid !== 'string' || !UUID_PATTERN.test(volumeUuid)) return 'volumeUuid is no identifier'
  if (typeof epoch !== 'number' || !Number.isSafeInteger(epoch) || epoch < 1) return 'epoch is no positive integer'
  if (typeof proof !== 'string' || !PROOF_PATTERN.test(proof)) return 'proof is not 64 hexadecimal digits'
  return { method: 'end-older', volumeUuid, epoch, proof }
}

/** The path is handed to a shell as one line of a file. */
function isBuildPath(value: unknown): value is string {
  return typeof value === 'string' && value.length <= PATH_CHARACTERS_MAX && isAbsolute(value) && !/[\n\0]/.test(value)
}

/** Reads one line of a server; null when it is none of ours. */
export function parseReply(line: string): ControlReply | null {
  const given = parseObject(line)
  if (given === null) return null
  const id = given['id']
  if (id !== null && !(typeof id === 'number' && Number.isSafeInteger(id))) return null
  const error = objectOf(given['error'])
  if (error !== null) return { id, error: readProblem(error) }
  if (id === null) return null
  if (Object.hasOwn(given, 'progress')) return { id, progress: given['progress'] }
  return Object.hasOwn(given, 'result') ? { id, result: given['result'] } : null
}

function readProblem(given: Readonly<Record<string, unknown>>): ControlProblem {
  const { kind, code, message, remedy } = given as Record<string, unknown>
  return {
    kind: KINDS.find((one) => one === kind) ?? 'unknown-outcome',
    code: String(code),
    message: String(message),
    remedy: typeof remedy === 'string' ? remedy : null,
  }
}

export function encodeLine(message: ControlReply | { readonly id: number; readonly method: string }): string {
  if (!('method' in message)) return `${JSON.stringify(message)}\n`
  const { id, method, ...params } = message
  return `${JSON.stringify({ id, method, params })}\n`
}

/** Cuts a byte stream into lines. Never holds more than LINE_BYTES_MAX of an unfinished one. */
export class LineSplitter {
  private rest: Buffer = Buffer.alloc(0)

  /** Lines finished by `chunk`, without their newline; null once a line is too long, and for ever after. */
  push(chunk: Buffer): string[] | null {
    if (this.rest.length > LINE_BYTES_MAX) return null
    const lines: string[] = []
    let start = 0
    let end = chunk.indexOf(0x0a)
    for (; end >= 0; end = chunk.indexOf(0x0a, start)) {
      const line = Buffer.concat([this.rest, chunk.subarray(start, end)])
      this.rest = Buffer.alloc(0)
      start = end + 1
      if (line.length > LINE_BYTES_MAX) return this.fail(line)
      lines.push(line.toString('utf8'))
    }
    this.rest = Buffer.concat([this.rest, chunk.subarray(start, start + LINE_BYTES_MAX + 1)])
    return this.rest.length > LINE_BYTES_MAX ? this.fail(this.rest) : lines
  }

  private fail(line: Buffer): null {
    this.rest = line.subarray(0, LINE_BYTES_MAX + 1)
    return null
  }
}
