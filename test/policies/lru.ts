// Gives up what was used least recently.
import { BlockLists } from './block-lists.ts'
import { type Trace, universeOf } from './replacement-policy.ts'

const CACHED = 1

export function lruMisses(trace: Trace, slots: number): Uint8Array {
  const lists = new BlockLists(universeOf(trace), 1)
  return Uint8Array.from(trace, (block) => {
    const isMiss = lists.listOf(block) !== CACHED
    if (isMiss && lists.count(CACHED) === slots) lists.remove(lists.oldest(CACHED))
    lists.moveTo(CACHED, block)
    return isMiss ? 1 : 0
  })
}
