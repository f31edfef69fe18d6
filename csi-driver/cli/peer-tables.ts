// The tables of `forebay peers`: what each replica store holds, and what of it may be given up. Pure.
import { BLOCK_BYTES } from '../../base/units.ts'
import type { PeerFinding, PeerStatus } from '../peer-process/control-protocol.ts'
import { discardReason } from './discard-reasons.ts'
import { bytesText } from './quantity-text.ts'

type VolumeLine = PeerStatus['volumes'][number]
type LeftCacheLine = PeerStatus['leftCaches'][number]

const HEADINGS = ['VOLUME', 'EPOCH', 'RUN', 'LOG', 'BATCHES', 'BYTES', 'LAG', 'ENGINE']
const FINDING_HEADINGS = ['VOLUME', 'UUID', 'BYTES', 'OUTCOME', 'WHY']
/** Enough of the random part of a log's name to tell it from others at sight; `--output json` has all of it. */
const LOG_NAME_CHARACTERS = 8

export const NO_PEERS = 'No replica store runs here. Start one with: forebay peer --store PATH --listen ADDR:PORT …\n'

export function peersTable(peers: readonly PeerStatus[]): string {
  return peers.length === 0 ? NO_PEERS : peers.map(peerText).join('\n')
}

function peerText(peer: PeerStatus): string {
  const space = `free=${bytesText(peer.freeBytes)} of ${bytesText(peer.capacityBytes)}`
  const head = `node=${peer.node} listen=${peer.listen} resource=${peer.resource} ${space} store=${peer.path}`
  const left = peer.leftCaches.map(leftText)
  if (peer.volumes.length === 0) return `${[head, '  no volumes', ...left].join('\n')}\n`
  const lines = tableLines([HEADINGS, ...peer.volumes.map(rowOf)])
  return `${[head, ...lines.map((line) => `  ${line}`), ...peer.volumes.flatMap(remarks), ...left].join('\n')}\n`
}

function rowOf({ volume, epoch, run, log, unwrittenBytes, engine }: VolumeLine): string[] {
  const known = [volume, String(epoch), String(run)]
  const by = engine === null ? '-' : `${engine.node}${engine.purpose === 'owner' ? '' : ` (${engine.purpose})`}`
  if (log === null) return [...known, 'none', '-', '-', '-', by]
  return [
    ...known,
    logText(log.names.at(-1)?.logUuid ?? ''),
    log.lastBatchSeq < log.firstBatchSeq ? '-' : `${log.firstBatchSeq}-${log.lastBatchSeq}`,
    bytesText(log.storedBytes),
    // What came and is not yet durable here; records that may lack elsewhere are only counted.
    log.unackedRecords === 0
      ? bytesText(unwrittenBytes)
      : `${bytesText(unwrittenBytes)}, ${log.unackedRecords} records`,
    by,
  ]
}

/** The epoch that made the log, and the beginning of the rest. */
function logText(logUuid: string): string {
  return `${BigInt(`0x0${logUuid.slice(0, 16)}`)}-${logUuid.slice(16, 16 + LOG_NAME_CHARACTERS)}`
}

function remarks({ volume, lossReason, failure, log }: VolumeLine): string[] {
  const lines: string[] = []
  if (failure !== null) lines.push(`  ${volume}: refuses everybody until a restart: ${failure}`)
  if (lossReason !== null) lines.push(`  ${volume}: its log here is lost: ${lossReason}`)
  if (log !== null && log.pending !== null) lines.push(`  ${volume}: is being taken over by a new owner`)
  return lines
}

function leftText({ volume, movedTo, blocks, reader, servedBlocks, remainingMs }: LeftCacheLine): string {
  const use = reader ? `${bytesText(servedBlocks * BLOCK_BYTES)} read so far` : 'not read yet'
  const minutes = Math.ceil(remainingMs / 60_000)
  return `  ${volume}: its cache (${bytesText(blocks * BLOCK_BYTES)}) is left here for ${movedTo}, ${use}, ${minutes} min more at most`
}

export function findingsTable(findings: readonly PeerFinding[], dryRun: boolean): string {
  if (findings.length === 0) return 'Nothing is held here.\n'
  const lines = tableLines([FINDING_HEADINGS, ...findings.map(findingRow)])
  const count = (outcome: PeerFinding['outcome']): number => findings.filter((one) => one.outcome === outcome).length
  const result = dryRun
    ? `${count('may-go')} of ${findings.length} may go; nothing was changed`
    : `${count('discarded')} of ${findings.length} discarded`
  return `${[...lines, result].join('\n')}\n`
}

function findingRow({ volume, volumeUuid, storedBytes, outcome, reason, error }: PeerFinding): string[] {
  return [volume, volumeUuid, bytesText(storedBytes), outcome, error ?? discardReason(reason)]
}

function tableLines(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  )
}
