// Who may read from a cache that an owner has left behind after a planned move (rule 9), as its node decides. Only the
// new owner, in its first life: what anybody else knows of the volume may be newer than what the cache holds.
import type { DecisionRow } from './decision-table.ts'
import type { Refusal } from './store-rows.ts'

export interface LeftCacheFacts {
  /** A cache of this volume is served here. */
  readonly cache: 'here' | 'none'
  readonly proof: 'right' | 'wrong'
  /** The reader's node is the one that the volume was moved to. */
  readonly node: 'moved-to' | 'other'
  /** Of the reader, beside the epoch that was left. */
  readonly epoch: 'larger' | 'not-larger'
  /** Whether a reader has been here. Its connection's end is the cache's end, so it is still here. */
  readonly before: 'nobody' | 'reader'
}

/** let-go: the refusal ends the cache as well, since a reader has started again, or two claim to be the owner. */
export type LeftCacheAnswer = 'welcome' | Refusal | { readonly letGo: Refusal }

const refuse = (code: Refusal['refuse'], text: string): Refusal => ({ refuse: code, text })
const HERE = { cache: ['here'], proof: ['right'] } as const
const NEW_OWNER = { ...HERE, node: ['moved-to'], epoch: ['larger'] } as const

// biome-ignore format: a table
export const LEFT_CACHE_ROWS: readonly DecisionRow<LeftCacheFacts, LeftCacheAnswer>[] = [
  { label: 'no-cache', rules: '9', when: { cache: ['none'] }, then: refuse('not-held', 'no cache of the volume was left behind here') },
  { label: 'proof-wrong', rules: '7.1', when: { cache: ['here'], proof: ['wrong'] }, then: refuse('proof', 'the proof of the volume key is wrong') },
  { label: 'other-node', rules: '9', when: { ...HERE, node: ['other'] }, then: refuse('not-held', 'the volume was moved to another node') },
  { label: 'epoch-old', rules: '9', when: { ...HERE, node: ['moved-to'], epoch: ['not-larger'] }, then: refuse('epoch-old', 'the cache was left behind by a newer owner') },
  { label: 'new-owner', rules: '9', when: { ...NEW_OWNER, before: ['nobody'] }, then: 'welcome' },
  { label: 'second-life', rules: '9', when: { ...NEW_OWNER, before: ['reader'] }, then: { letGo: refuse('run-old', 'the new owner has read from the cache before; its second life does not') } },
]
