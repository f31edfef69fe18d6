// May this volume be opened with this cache and this backing, and how? Three tables, asked in this order: who may still
// touch the backing, what the cache is worth, whether the backing is the one that the register knows. Pure; nothing is
// changed by asking. Invariant 9: the only way past `blocked` is --accept-data-loss with the volume's name.
// Texts of refusals are in open-messages.ts. Rule numbers are those of the replication protocol (docs/decisions/0001).
import type { Epoch } from '../../base/units.ts'
import { type DecisionRow, decide } from './decision-table.ts'
import {
  type BackingFacts,
  backingFacts,
  type CacheFacts,
  cacheFacts,
  type OpenInput,
  type PredecessorFacts,
  predecessorFacts,
} from './open-facts.ts'
import { type RefusalCode, refusalText, wrongLossName } from './open-messages.ts'

/**
 * create-volume: no register yet; create it, with an empty log.
 * open-clean: nothing to gather; a fresh log.
 * open-gather: adopt the own log's tail, then own a new log.
 * open-discard: what is dirty is given up, as the user said; then like open-clean.
 */
export type OpenKind = 'create-volume' | 'open-clean' | 'open-gather' | 'open-discard'

export interface OpenGo {
  readonly kind: OpenKind
  /** Labels of the rows that decided, for the log. */
  readonly labels: readonly string[]
  /** Write new superblocks, with a new storeUuid: the cache's content is not used. */
  readonly formatCache: boolean
  /** The user said that this backing is the right one: register it. */
  readonly takeBacking: boolean
  /** The claim's epoch is at least this: larger than that of any log that is given up. */
  readonly epochAtLeast: Epoch
}

export interface OpenRefusal {
  /** blocked: acknowledged writes would be lost (or maybe). refuse: the input is wrong. Nothing was changed. */
  readonly kind: 'refuse' | 'blocked'
  readonly labels: readonly string[]
  readonly code: RefusalCode
  readonly message: string
  readonly remedy: string
}

export type OpenDecision = OpenGo | OpenRefusal

type Go = { readonly go: OpenKind; readonly formatCache: boolean }
type No = { readonly no: 'refuse' | 'blocked'; readonly code: RefusalCode }

const go = (kind: OpenKind): Go => ({ go: kind, formatCache: false })
const goFormatted = (kind: OpenKind): Go => ({ go: kind, formatCache: true })
const refuse = (code: RefusalCode): No => ({ no: 'refuse', code })
const blocked = (code: RefusalCode): No => ({ no: 'blocked', code })

export const PREDECESSOR_ROWS: readonly DecisionRow<PredecessorFacts, 'go-on' | No>[] = [
  { label: 'nobody-before', rules: 'S0', when: { predecessor: ['none'], takeover: [false] }, then: 'go-on' },
  // Whoever takes over expects data: a volume made anew beside it would hide that.
  {
    label: 'nothing-to-take-over',
    rules: 'S0 bad input',
    when: { predecessor: ['none'], takeover: [true] },
    then: refuse('CACHE_NOTHING_TO_TAKE_OVER'),
  },
  { label: 'nobody-left', rules: 'S1', when: { predecessor: ['closed'] }, then: 'go-on' },
  { label: 'own-node-locked-out', rules: 'S2 5.3', when: { predecessor: ['own-node'] }, then: 'go-on' },
  {
    label: 'other-node-not-fenced',
    rules: 'S2',
    when: { predecessor: ['other-node'], takeover: [false] },
    then: refuse('CACHE_OWNED_ELSEWHERE'),
  },
  {
    label: 'other-node-taken-over',
    rules: 'S2',
    when: { predecessor: ['other-node'], takeover: [true] },
    then: 'go-on',
  },
]

const OWN = ['this-clean', 'this-dirty'] as const
const NEWER = ['log-newer', 'register-replaced'] as const

/** What the cache is worth where the register has no record. */
const ABSENT_ROWS: readonly DecisionRow<CacheFacts, Go | No>[] = [
  {
    label: 'new-volume',
    rules: 'S1',
    when: { register: ['absent'], cache: ['unused'] },
    then: goFormatted('create-volume'),
  },
  {
    label: 'new-volume-format-foreign',
    rules: 'S1',
    when: { register: ['absent'], cache: ['foreign', 'other-clean'], formatCache: [true] },
    then: goFormatted('create-volume'),
  },
  {
    label: 'register-missing-clean',
    rules: '1.4',
    when: { register: ['absent'], cache: ['this-clean'], formatCache: [false] },
    then: refuse('CACHE_REGISTER_MISSING'),
  },
  {
    label: 'register-missing-clean-format',
    rules: '1.4',
    when: { register: ['absent'], cache: ['this-clean'], formatCache: [true] },
    then: goFormatted('create-volume'),
  },
  {
    label: 'register-missing-dirty',
    rules: '1.4 invariant 9',
    when: { register: ['absent'], cache: ['this-dirty'], lossAccepted: [false] },
    then: blocked('CACHE_REGISTER_MISSING'),
  },
  {
    label: 'register-missing-loss-accepted',
    rules: 'invariant 9',
    when: { register: ['absent'], cache: ['this-dirty'], lossAccepted: [true] },
    then: goFormatted('create-volume'),
  },
]

/** Nothing is to be gathered: only `dirty=false` says so (1.5). */
const CLEAN_ROWS: readonly DecisionRow<CacheFacts, Go | No>[] = [
  {
    label: 'clean-new-cache',
    rules: '1.5',
    when: { register: ['clean'], cache: ['unused'] },
    then: goFormatted('open-clean'),
  },
  {
    label: 'clean-format-foreign',
    rules: '1.5',
    when: { register: ['clean'], cache: ['foreign', 'other-clean'], formatCache: [true] },
    then: goFormatted('open-clean'),
  },
  {
    label: 'clean-own-cache',
    rules: '1.5',
    when: { register: ['clean'], cache: OWN, history: ['consistent'] },
    then: go('open-clean'),
  },
]

const ALONE = { register: ['dirty'], otherCopies: ['none'] } as const
const WITH_OTHERS = { register: ['dirty'], otherCopies: ['listed'] } as const
const CONSISTENT = { cache: OWN, history: ['consistent'] } as const

// biome-ignore format: a table
const DIRTY_ROWS: readonly DecisionRow<CacheFacts, Go | No>[] = [
  { label: 'gather-own-log', rules: 'S3 5.1', when: { ...CONSISTENT, register: ['dirty'], store: ['listed'], log: ['known'] }, then: go('open-gather') },
  { label: 'listed-without-its-log', rules: 'S3 invariant 9', when: { ...CONSISTENT, register: ['dirty'], store: ['listed'], log: ['unknown'], lossAccepted: [false] }, then: blocked('CACHE_LOG_MISSING') },
  { label: 'listed-without-its-log-loss-accepted', rules: 'invariant 9', when: { ...ALONE, ...CONSISTENT, store: ['listed'], log: ['unknown'], lossAccepted: [true] }, then: goFormatted('open-discard') },
  { label: 'stale-cache', rules: 'S3 2.1 invariant 9', when: { ...ALONE, ...CONSISTENT, store: ['not-listed'], lossAccepted: [false] }, then: blocked('CACHE_STALE') },
  { label: 'stale-cache-loss-accepted', rules: 'invariant 9', when: { ...ALONE, ...CONSISTENT, store: ['not-listed'], lossAccepted: [true] }, then: goFormatted('open-discard') },
  { label: 'dirty-data-elsewhere', rules: 'S3 invariant 9', when: { ...ALONE, cache: ['unused', 'foreign', 'other-clean'], lossAccepted: [false] }, then: blocked('CACHE_DIRTY_ELSEWHERE') },
  { label: 'dirty-data-elsewhere-loss-accepted', rules: 'invariant 9', when: { ...ALONE, cache: ['unused'], lossAccepted: [true] }, then: goFormatted('open-discard') },
  { label: 'dirty-data-elsewhere-loss-accepted-format', rules: 'invariant 9', when: { ...ALONE, cache: ['foreign', 'other-clean'], lossAccepted: [true], formatCache: [true] }, then: goFormatted('open-discard') },
  // What the own cache lacks is gathered from the others; what it holds of this volume is older and may go (7.1 c).
  { label: 'gather-others-own-log-missing', rules: 'S3', when: { ...WITH_OTHERS, ...CONSISTENT, store: ['listed'], log: ['unknown'], lossAccepted: [true] }, then: goFormatted('open-gather') },
  { label: 'gather-others-own-stale', rules: 'S3 2.1', when: { ...WITH_OTHERS, ...CONSISTENT, store: ['not-listed'] }, then: goFormatted('open-gather') },
  { label: 'gather-others', rules: 'S3', when: { ...WITH_OTHERS, cache: ['unused'] }, then: goFormatted('open-gather') },
  { label: 'gather-others-format', rules: 'S3', when: { ...WITH_OTHERS, cache: ['foreign', 'other-clean'], formatCache: [true] }, then: goFormatted('open-gather') },
]

/** Where somebody else's content may be overwritten, if the user says so. */
const FORMAT_NEEDED = [
  { name: 'clean', when: { register: ['absent', 'clean'] } },
  { name: 'alone', when: { ...ALONE, lossAccepted: [true] } },
  { name: 'others', when: WITH_OTHERS },
] as const

/** The same whatever the register says. */
const ANY_ROWS: readonly DecisionRow<CacheFacts, Go | No>[] = [
  {
    label: 'register-went-back',
    rules: '1.4',
    when: { register: ['clean', 'dirty'], cache: OWN, history: ['log-newer'], lossAccepted: [false] },
    then: blocked('CACHE_REGISTER_WENT_BACK'),
  },
  {
    label: 'register-replaced',
    rules: '1.4',
    when: { register: ['clean', 'dirty'], cache: OWN, history: ['register-replaced'], lossAccepted: [false] },
    then: blocked('CACHE_REGISTER_REPLACED'),
  },
  {
    label: 'newer-log-loss-accepted',
    rules: '1.4 invariant 9',
    when: { register: ['clean', 'dirty'], cache: OWN, history: NEWER, lossAccepted: [true] },
    then: goFormatted('open-discard'),
  },
  // Without a format flag: where no loss is at stake, or where it was accepted already.
  ...FORMAT_NEEDED.flatMap(({ name, when }): DecisionRow<CacheFacts, Go | No>[] => {
    const rest = { ...when, formatCache: [false] } as const
    return [
      {
        label: `foreign-content-${name}`,
        rules: 'bad input',
        when: { ...rest, cache: ['foreign'] },
        then: refuse('CACHE_FOREIGN_CONTENT'),
      },
      {
        label: `other-volume-clean-${name}`,
        rules: 'bad input',
        when: { ...rest, cache: ['other-clean'] },
        then: refuse('CACHE_OF_OTHER_VOLUME'),
      },
    ]
  }),
  {
    label: 'other-volume-dirty',
    rules: 'invariant 9',
    when: { cache: ['other-dirty'] },
    then: refuse('CACHE_OF_OTHER_VOLUME_DIRTY'),
  },
  // Damaged superblocks may stand for anybody's dirty data: it takes both flags.
  {
    label: 'damaged',
    rules: 'invariant 9',
    when: { cache: ['damaged'], lossAccepted: [false] },
    then: blocked('CACHE_SUPERBLOCKS_DAMAGED'),
  },
  {
    label: 'damaged-no-format',
    rules: 'invariant 9',
    when: { cache: ['damaged'], lossAccepted: [true], formatCache: [false] },
    then: blocked('CACHE_SUPERBLOCKS_DAMAGED'),
  },
  {
    label: 'damaged-format-new-volume',
    rules: 'invariant 9',
    when: { register: ['absent'], cache: ['damaged'], lossAccepted: [true], formatCache: [true] },
    then: goFormatted('create-volume'),
  },
  {
    label: 'damaged-format',
    rules: 'invariant 9',
    when: { register: ['clean'], cache: ['damaged'], lossAccepted: [true], formatCache: [true] },
    then: goFormatted('open-discard'),
  },
  {
    label: 'damaged-format-alone',
    rules: 'invariant 9',
    when: { ...ALONE, cache: ['damaged'], lossAccepted: [true], formatCache: [true] },
    then: goFormatted('open-discard'),
  },
  {
    label: 'damaged-format-others',
    rules: 'S3',
    when: { ...WITH_OTHERS, cache: ['damaged'], lossAccepted: [true], formatCache: [true] },
    then: goFormatted('open-gather'),
  },
]

export const CACHE_ROWS: readonly DecisionRow<CacheFacts, Go | No>[] = [
  ...ABSENT_ROWS,
  ...CLEAN_ROWS,
  ...DIRTY_ROWS,
  ...ANY_ROWS,
]

type BackingThen = 'as-it-is' | 'take-backing' | 'discard' | No

export const BACKING_ROWS: readonly DecisionRow<BackingFacts, BackingThen>[] = [
  { label: 'same-backing', rules: 'limit 15', when: { change: ['none'] }, then: 'as-it-is' },
  {
    label: 'backing-identity',
    rules: 'bad input',
    when: { change: ['identity'], backingChanged: ['none'] },
    then: refuse('CACHE_BACKING_OTHER'),
  },
  {
    label: 'backing-larger',
    rules: 'bad input',
    when: { change: ['larger'], backingChanged: ['none'] },
    then: refuse('CACHE_BACKING_LARGER'),
  },
  {
    label: 'backing-smaller',
    rules: 'bad input',
    when: { change: ['smaller'], backingChanged: ['none'] },
    then: refuse('CACHE_BACKING_SMALLER'),
  },
  {
    label: 'backing-content',
    rules: 'limit 15',
    when: { change: ['content'], backingChanged: ['none'] },
    then: refuse('CACHE_BACKING_CHANGED'),
  },
  {
    label: 'backing-taken-clean',
    rules: 'limit 15',
    when: {
      holds: ['nothing'],
      change: ['content', 'identity', 'larger', 'smaller'],
      backingChanged: ['replay', 'discard-cache'],
    },
    then: 'take-backing',
  },
  {
    label: 'backing-replay',
    rules: 'limit 15',
    when: { holds: ['dirty'], change: ['content', 'identity', 'larger'], backingChanged: ['replay'] },
    then: 'take-backing',
  },
  // What lies beyond the new end could never be destaged.
  {
    label: 'backing-too-small-to-replay',
    rules: 'invariant 9',
    when: { holds: ['dirty'], change: ['smaller'], backingChanged: ['replay'] },
    then: refuse('CACHE_BACKING_SMALLER'),
  },
  {
    label: 'backing-discard-cache',
    rules: 'limit 15',
    when: { holds: ['dirty'], change: ['content', 'identity', 'larger', 'smaller'], backingChanged: ['discard-cache'] },
    then: 'discard',
  },
]

/** The one decision for what was found. Changes nothing, never throws for any input of the right shape. */
export function openDecision(input: OpenInput): OpenDecision {
  if (input.acceptDataLoss !== null && input.acceptDataLoss !== input.volume) {
    return { kind: 'refuse', labels: ['loss-of-another-volume'], ...wrongLossName(input) }
  }
  const predecessor = decide(PREDECESSOR_ROWS, predecessorFacts(input))
  if (predecessor.then !== 'go-on') return refusal(input, [predecessor.label], predecessor.then)
  const cache = decide(CACHE_ROWS, cacheFacts(input))
  const labels = [predecessor.label, cache.label]
  if ('no' in cache.then) return refusal(input, labels, cache.then)
  return withBacking(input, cache.then, labels)
}

function withBacking(input: OpenInput, wanted: Go, before: readonly string[]): OpenDecision {
  const holds = wanted.go === 'open-gather' ? 'dirty' : 'nothing'
  const { label, then } = decide(BACKING_ROWS, backingFacts(input, holds))
  const labels = [...before, label]
  if (typeof then === 'object') return refusal(input, labels, then)
  const discard = then === 'discard'
  return {
    kind: discard ? 'open-discard' : wanted.go,
    labels,
    formatCache: wanted.formatCache || discard,
    takeBacking: then !== 'as-it-is',
    epochAtLeast: (input.cache.kind === 'forebay' ? input.cache.epoch : 0) + 1,
  }
}

function refusal(input: OpenInput, labels: readonly string[], { no, code }: No): OpenRefusal {
  return { kind: no, labels, code, ...refusalText(code, input) }
}
