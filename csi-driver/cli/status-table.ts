// The table of `forebay status`: one line per volume, and below it what needs attention. Pure.
import type { VolumeStatus } from '../observe/status.ts'
import { printDeviceUser } from '../observe/status.ts'
import { bytesText, secondsText } from './quantity-text.ts'

const HEADINGS = ['VOLUME', 'STATE', 'DEVICE', 'POLICY', 'DIRTY', 'OLDEST', 'READ HITS', 'BACKING'] as const

export function statusTable(volumes: readonly VolumeStatus[]): string {
  if (volumes.length === 0) return 'No volumes. Start one with: forebay serve VOLUME --backing PATH --cache PATH\n'
  const rows = [[...HEADINGS], ...volumes.map(rowOf)]
  const widths = HEADINGS.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  const lines = rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  )
  return `${[...lines, ...volumes.flatMap(remarks)].join('\n')}\n`
}

function rowOf(status: VolumeStatus): string[] {
  const { writePolicy, effectiveWritePolicy } = status
  return [
    status.volume,
    status.state,
    deviceText(status),
    writePolicy === effectiveWritePolicy ? writePolicy : `${writePolicy} (now ${effectiveWritePolicy})`,
    status.dirtyBytes === 0 && status.state === 'stopped-dirty' ? 'yes' : bytesText(status.dirtyBytes),
    status.oldestDirtySeconds > 0 ? secondsText(status.oldestDirtySeconds) : '-',
    hitRate(status),
    status.backing,
  ]
}

function deviceText({ device, connections }: VolumeStatus): string {
  if (device === null) return '-'
  return connections === null ? device : `${device} (${connections} ${connections === 1 ? 'client' : 'clients'})`
}

function hitRate({ readHits, readMisses }: VolumeStatus): string {
  const reads = readHits + readMisses
  return reads === 0 ? '-' : `${((readHits / reads) * 100).toFixed(1)} %`
}

function remarks(status: VolumeStatus): string[] {
  const lines: string[] = []
  const say = (text: string): number => lines.push(`${status.volume}: ${text}`)
  if (status.reason !== null && status.reason !== '') say(status.reason)
  if (status.backingHealth.failing) say(healthText('backing', status.backingHealth))
  if (status.cacheHealth.failing) say(healthText('cache', status.cacheHealth))
  if (status.openBy.length > 0) say(`waits for ${status.openBy.map(printDeviceUser).join(', ')} to release the device`)
  if (status.state === 'stopped-dirty')
    say('the cache holds writes that the backing lacks; serve it again before you use the backing')
  if (status.state === 'restarting') say('its engine does not answer; the holder starts it again')
  return lines
}

function healthText(what: string, health: VolumeStatus['backingHealth']): string {
  const since = health.sinceSeconds === null ? '' : ` for ${secondsText(health.sinceSeconds)}`
  return `${what} fails${since}: ${health.reason ?? 'no reason known'}`
}
