// Proves that the demo ends with success only when nothing was lost anywhere, and that what was lost is said with
// numbers. How: results made by hand, with one thing wrong at a time.
import type { LedgerFindings } from '../../../../../csi-driver/cli/demo/ledger.ts'
import { findingsText, isSuccess, resultLines, type Results } from '../../../../../csi-driver/cli/demo/results.ts'

const FINDINGS: LedgerFindings = {
  integrity: 'ok',
  entries: 1234,
  missing: 0,
  different: 0,
  first: [],
  wrongBalances: 0,
  digest: 'ab'.repeat(32),
  expectedDigest: 'ab'.repeat(32),
}
const RESULTS: Results = {
  slowDisk: { perSecond: 80, p50Ms: 12, p99Ms: 17.4 },
  local: { perSecond: 1280, p50Ms: 0.216, p99Ms: 12 },
  replicated: { perSecond: 880, p50Ms: 0.56, p99Ms: 7.46 },
  takeover: { readyMs: 2100, firstCommitMs: 3000, findings: FINDINGS },
  peerLoss: { pauseMs: 2140, returnMs: 3010 },
  end: { fileSystemProblem: null, acknowledged: 1234, findings: FINDINGS },
}

const WRONG: readonly Partial<LedgerFindings>[] = [
  { integrity: 'row 3 missing from index' },
  { missing: 1, first: [7] },
  { different: 1, first: [7] },
  { wrongBalances: 1 },
  { digest: '' },
]

test('success, in a table of what was measured', () => {
  expect(isSuccess(RESULTS)).toBe(true)
  expect(resultLines(RESULTS).join('\n')).toBe(
    `
                                   commits/s  half within  99 % within
   slow disk alone                        80        12 ms        17 ms
   Forebay, own cache                  1 280      0.22 ms        12 ms       16.0 ×
   Forebay, with one replica             880      0.56 ms      7.46 ms       11.0 ×

   the owner’s host dies           committing again on another host after 3.0 s
   the replica’s host dies         pause of 2.1 s, replicated again after 3.0 s
   commits acknowledged            1 234, lost 0
   on the slow disk at the end     everything; e2fsck clean`.slice(1),
  )
})

test.each(WRONG)('no success after %j, neither in the takeover nor at the end', (wrong) => {
  const findings = { ...FINDINGS, ...wrong }
  expect(isSuccess({ ...RESULTS, takeover: { ...RESULTS.takeover, findings } })).toBe(false)
  const atEnd = { ...RESULTS, end: { ...RESULTS.end, findings } }
  expect(isSuccess(atEnd)).toBe(false)
  expect(resultLines(atEnd).at(-1)).toContain('NOT everything')
})

test('no success with a file system that is not clean', () => {
  const bad = { ...RESULTS, end: { ...RESULTS.end, fileSystemProblem: 'inode 12' } }
  expect(isSuccess(bad)).toBe(false)
  expect(resultLines(bad).at(-1)).toContain('e2fsck NOT CLEAN')
})

test('what is lost is named', () => {
  expect(findingsText(FINDINGS, 1233)[0]).toBe(
    'acknowledged 1 233, found 1 234, missing 0, different 0 (1 had been written and not yet been acknowledged)',
  )
  const lost = { ...FINDINGS, entries: 1228, missing: 6, first: [1, 2, 3, 4, 5], digest: '' }
  expect(findingsText(lost, 1234)).toEqual([
    'acknowledged 1 234, found 1 228, missing 6, different 0',
    'sha256 of all of them … DIFFERS',
    'database: integrity ok, every balance is the sum of its entries',
    'LOST or changed: commits 1, 2, 3, 4, 5 …',
  ])
})
