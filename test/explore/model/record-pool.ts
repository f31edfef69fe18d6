// Every register record that a search has met, once each, by number, and the product's changes of it
// (protocol/register-transitions.ts), asked once for each record. Versions are left out: of two records only matters
// which one is the newer, and that the model keeps apart (see `current` in state.ts).
import {
  type Member,
  type Phase,
  PHASES,
  RECORD_FORMAT_VERSION,
  type RegisterRecord,
} from '../../../csi-driver/register/record.ts'
import { type WhileUnsettled, whileUnsettled } from '../../../csi-driver/register/settlement.ts'
import { addTo, epochOf, uuidOf } from './log-pool.ts'

export const NODES = 3
/** On each node a replica store (0 to 2), which every engine reaches by the network, and a cache (3 to 5), only its own. */
export const STORES = 2 * NODES

export function cacheOf(node: number): number {
  return NODES + node
}

export function nodeOfStore(store: number): number {
  return store % NODES
}

export function isCache(store: number): boolean {
  return store >= NODES
}

/** A record with what the model asks most, as numbers. */
export interface KnownRecord {
  readonly id: number
  readonly record: RegisterRecord
  readonly epoch: number
  readonly owner: number
  readonly logName: number
  /** Bit s: store s is listed. */
  readonly members: number
  /** By store, 0 where it is not listed. */
  readonly incarnations: readonly number[]
  readonly phase: Phase
  readonly dirty: boolean
}

const NONCE = '1'.repeat(32)

export function nodeName(node: number): string {
  return `n${node}`
}

export function nodeOf(name: string): number {
  return Number(name.slice(1))
}

export function memberOf(store: number, incarnation: number): Member {
  return { node: nodeName(nodeOfStore(store)), storeUuid: `${store}`.repeat(32), incarnation }
}

export function storeOf(member: Member): number {
  return Number(member.storeUuid[0])
}

export function maskOf(members: readonly Member[]): number {
  return members.reduce((mask, member) => mask | (1 << storeOf(member)), 0)
}

export function firstRecord(members: readonly Member[]): RegisterRecord {
  return {
    formatVersion: RECORD_FORMAT_VERSION,
    volume: 'explored',
    volumeUuid: NONCE,
    registerNonce: NONCE,
    rv: 1,
    changeId: '0'.repeat(16),
    epoch: 1,
    owner: nodeName(0),
    logUuid: uuidOf(1),
    members,
    phase: 'WriteBack',
    previousPhase: 'Detached',
    dirty: true,
    unfenced: [],
    lastSeq: 0,
    volumeKey: '0'.repeat(64),
    backing: { kind: 'block', id: 'explored', sizeBytes: 4096 },
  }
}

/** A change of the product asserted instead of giving a record: a bug of the tables or of the model, never expected. */
export class ChangeAsserted extends Error {}

export class RecordPool {
  readonly #records: KnownRecord[] = []
  readonly #ids = new Map<string, number>()
  readonly #changed = new Map<string, number>()
  readonly #unsettled = new Map<number, WhileUnsettled>()

  get(id: number): KnownRecord {
    return this.#records[id - 1] as KnownRecord
  }

  add(record: RegisterRecord): KnownRecord {
    const key = JSON.stringify(record)
    let id = this.#ids.get(key)
    if (id === undefined) {
      id = addTo(this.#records, known(this.#records.length + 1, record))
      this.#ids.set(key, id)
    }
    return this.get(id)
  }

  /** `change` of record `id`; `name` tells it from every other change, its parameters included. */
  changed(id: number, name: string, change: (record: RegisterRecord) => RegisterRecord): number {
    const key = `${id} ${name}`
    let next = this.#changed.get(key)
    if (next === undefined) {
      next = this.add(this.#asked(id, name, change)).id
      this.#changed.set(key, next)
    }
    return next
  }

  /** The product's word on what holds while the change from one record to another is open. */
  whileUnsettled(before: number, after: number): WhileUnsettled {
    const key = before * 65_536 + after
    let found = this.#unsettled.get(key)
    if (found === undefined) {
      found = whileUnsettled(this.get(before).record, this.get(after).record)
      this.#unsettled.set(key, found)
    }
    return found
  }

  #asked(id: number, name: string, change: (record: RegisterRecord) => RegisterRecord): RegisterRecord {
    try {
      return change(this.get(id).record)
    } catch (error) {
      throw new ChangeAsserted(`${name}: ${error instanceof Error ? error.message : String(error)}`, { cause: error })
    }
  }
}

function known(id: number, record: RegisterRecord): KnownRecord {
  const incarnations = Array<number>(STORES).fill(0)
  for (const member of record.members) incarnations[storeOf(member)] = member.incarnation
  const members = maskOf(record.members)
  const { epoch, owner, logUuid, phase, dirty } = record
  return { id, record, epoch, owner: nodeOf(owner), logName: epochOf(logUuid), members, incarnations, phase, dirty }
}

export function phaseNumber(phase: Phase): number {
  return PHASES.indexOf(phase)
}
