// What must always hold inside the extent index, as one list of checks over its public face. Slow (every fragment is
// visited): for tests, the simulator and offline verification.
import { SECTORS_PER_BLOCK } from '../../../base/units.ts'
import type { ExtentIndex, FragmentView } from './extent-index.ts'
import { CODE_OF_RUN, SECTORS_OF_MASK } from './sector-mask.ts'

/** Broken invariants as lower-case sentences with values; empty when all hold. */
export function extentIndexProblems(index: ExtentIndex): string[] {
  const problems: string[] = []
  const byBlock = new Map<number, FragmentView[]>()
  index.forEachFragment((fragment) => {
    const fragments = byBlock.get(fragment.block)
    if (fragments === undefined) byBlock.set(fragment.block, [fragment])
    else fragments.push(fragment)
  })
  let dirtySectors = 0
  let chained = 0
  for (const [block, fragments] of byBlock) {
    if (fragments.length > 1) chained += fragments.length
    for (const fragment of fragments) if (fragment.dirty) dirtySectors += SECTORS_OF_MASK[fragment.valid] as number
    problems.push(...blockProblems(index, block, fragments))
  }
  if (byBlock.size !== index.blocks) problems.push(`blocks miscounted counted=${index.blocks} found=${byBlock.size}`)
  if (dirtySectors !== index.dirtySectors) {
    problems.push(`dirty sectors miscounted counted=${index.dirtySectors} found=${dirtySectors}`)
  }
  if (chained !== index.usedFragments) {
    problems.push(`pool nodes miscounted counted=${index.usedFragments} found=${chained}`)
  }
  return problems
}

function blockProblems(index: ExtentIndex, block: number, fragments: readonly FragmentView[]): string[] {
  const problems: string[] = []
  let valid = 0
  let clean = 0
  for (const fragment of fragments) {
    const where = `block=${block} base=${fragment.base} valid=${fragment.valid} orig=${fragment.orig}`
    if (fragment.valid === 0) problems.push(`fragment without a valid sector ${where}`)
    if (CODE_OF_RUN[fragment.orig] === 0) problems.push(`fragment was not written as one run ${where}`)
    if ((fragment.valid & ~fragment.orig) !== 0) problems.push(`valid sector that was never written ${where}`)
    if ((fragment.valid & valid) !== 0) problems.push(`sector with two newest versions ${where}`)
    valid |= fragment.valid
    if (fragment.dirty) continue
    clean++
    if ((fragment.base - index.logEndSector) % SECTORS_PER_BLOCK !== 0) problems.push(`slot off its border ${where}`)
  }
  if (clean > 1) problems.push(`block with several clean fragments block=${block}`)
  if (index.validMask(block) !== valid) problems.push(`valid mask of the entry is stale block=${block}`)
  if (index.find(block) !== fragments.length) problems.push(`block is not found from its home block=${block}`)
  return problems
}
