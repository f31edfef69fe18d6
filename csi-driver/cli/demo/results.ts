// What the demo has measured, as a table at the end, and whether it may end with success. Nothing here is a constant:
// every number was taken in this run.
import type { Ms } from '../../../base/units.ts'
import type { CommitRate } from './client.ts'
import { type LedgerFindings, nothingIsWrong } from './ledger.ts'

export interface Results {
  readonly slowDisk: CommitRate
  readonly local: CommitRate
  readonly replicated: CommitRate
  readonly takeover: {
    /** From the death of the owner to the ready line, to the first commit on the new host. */
    readonly readyMs: Ms
    readonly firstCommitMs: Ms
    readonly findings: LedgerFindings
  }
  readonly peerLoss: {
    readonly pauseMs: Ms
    /** From the death to write-back with another replica. */
    readonly returnMs: Ms
  }
  readonly end: {
    /** What e2fsck said, null when the file system is clean. */
    readonly fileSystemProblem: string | null
    readonly acknowledged: number
    readonly findings: LedgerFindings
  }
}

export function seconds(ms: Ms): string {
  return `${(ms / 1000).toFixed(1)} s`
}

export function count(value: number): string {
  return Math.round(value).toLocaleString('en').replaceAll(',', ' ')
}

export function rateText({ perSecond, p50Ms, p99Ms }: CommitRate): string {
  return `${count(perSecond)} commits/s, half within ${milliseconds(p50Ms)}, 99 % within ${milliseconds(p99Ms)}`
}

export function milliseconds(ms: Ms): string {
  return `${ms.toFixed(ms < 10 ? 2 : 0)} ms`
}

/** What a check of the database found, in one line or, when something is wrong, in as many as it needs. */
export function findingsText(findings: LedgerFindings, acknowledged: number): string[] {
  const { integrity, entries, missing, different, first, wrongBalances, digest, expectedDigest } = findings
  const more = entries - (acknowledged - missing)
  const lines = [
    `acknowledged ${count(acknowledged)}, found ${count(entries)}, missing ${missing}, different ${different}` +
      (more > 0 ? ` (${more} had been written and not yet been acknowledged)` : ''),
    `sha256 of all of them ${digest.slice(0, 16)}… ${digest === expectedDigest ? 'as committed' : 'DIFFERS'}`,
    `database: ${integrity === 'ok' ? 'integrity ok' : `DAMAGED: ${integrity}`}, ${
      wrongBalances === 0 ? 'every balance is the sum of its entries' : `WRONG BALANCES: ${wrongBalances}`
    }`,
  ]
  if (first.length > 0)
    lines.push(`LOST or changed: commits ${first.join(', ')}${missing + different > first.length ? ' …' : ''}`)
  return lines
}

export function isSuccess({ takeover, end }: Results): boolean {
  return nothingIsWrong(takeover.findings) && nothingIsWrong(end.findings) && end.fileSystemProblem === null
}

export function resultLines(results: Results): string[] {
  const { slowDisk, local, replicated, takeover, peerLoss, end } = results
  const rate = (name: string, of: CommitRate): string[] => [
    name,
    count(of.perSecond),
    milliseconds(of.p50Ms),
    milliseconds(of.p99Ms),
    of === slowDisk ? '' : `${(of.perSecond / slowDisk.perSecond).toFixed(1)} ×`,
  ]
  const table = [
    ['', 'commits/s', 'half within', '99 % within', ''],
    rate('slow disk alone', slowDisk),
    rate('Forebay, own cache', local),
    rate('Forebay, with one replica', replicated),
  ]
  const lost = end.findings.missing + end.findings.different
  const facts: readonly (readonly [string, string])[] = [
    ['the owner’s host dies', `committing again on another host after ${seconds(takeover.firstCommitMs)}`],
    [
      'the replica’s host dies',
      `pause of ${seconds(peerLoss.pauseMs)}, replicated again after ${seconds(peerLoss.returnMs)}`,
    ],
    ['commits acknowledged', `${count(end.acknowledged)}, lost ${count(lost)}`],
    [
      'on the slow disk at the end',
      `${nothingIsWrong(end.findings) ? 'everything' : 'NOT everything'}; e2fsck ${end.fileSystemProblem === null ? 'clean' : 'NOT CLEAN'}`,
    ],
  ]
  return [
    ...table.map(([name = '', ...cells]) =>
      `   ${name.padEnd(28)}${cells.map((cell) => cell.padStart(13)).join('')}`.trimEnd(),
    ),
    '',
    ...facts.map(([name, value]) => `   ${name.padEnd(32)}${value}`),
  ]
}
