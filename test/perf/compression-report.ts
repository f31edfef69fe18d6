// From samples of compression to its table and figures of `make bench`: pure arithmetic. A gain is the ratio of
// medians; its spread is that of the ratio round by round, which is fair because the modes take turns within a round.
import type { PayloadKind } from './compression-payloads.ts'
import { median, type PartResult, type Spread, spreadOf, type Table } from './report.ts'

export type CompressionMode = 'auto' | 'off'

/** What one mode did for a while. */
export interface CompressionSample {
  readonly round: number
  readonly link: string
  readonly payload: PayloadKind
  readonly batchBytes: number
  readonly mode: CompressionMode
  readonly megabytesPerSecond: number
  /** From before compression to the acknowledgement. */
  readonly p50Micros: number
  /** CPU of the sending process per batch, TLS and system calls with it. */
  readonly cpuMicros: number
  /** Payload as sent over payload. */
  readonly sentShare: number
}

export interface CompressionRow {
  readonly link: string
  readonly payload: PayloadKind
  readonly batchBytes: number
  readonly off: CompressionSample
  readonly auto: CompressionSample
  /** Throughput, auto over off. */
  readonly gain: Spread
  /** CPU per batch, auto over off. */
  readonly cpu: Spread
}

function medianSample(samples: readonly CompressionSample[]): CompressionSample {
  const [first] = samples
  if (first === undefined) throw new Error('no samples')
  return {
    ...first,
    megabytesPerSecond: median(samples.map(({ megabytesPerSecond }) => megabytesPerSecond)),
    p50Micros: median(samples.map(({ p50Micros }) => p50Micros)),
    cpuMicros: median(samples.map(({ cpuMicros }) => cpuMicros)),
    sentShare: median(samples.map(({ sentShare }) => sentShare)),
  }
}

/** The ratio of medians in the middle, least and greatest ratio of a round around it. */
function ratioSpread(
  auto: readonly CompressionSample[],
  off: readonly CompressionSample[],
  figure: (sample: CompressionSample) => number,
): Spread {
  const rounds = auto.flatMap((sample) => {
    const partner = off.find(({ round }) => round === sample.round)
    return partner === undefined ? [] : [figure(sample) / figure(partner)]
  })
  return { ...spreadOf(rounds), median: median(auto.map(figure)) / median(off.map(figure)) }
}

export function compressionRows(samples: readonly CompressionSample[]): CompressionRow[] {
  const groups = Map.groupBy(samples, ({ link, payload, batchBytes }) => `${link} ${payload} ${batchBytes}`)
  return [...groups.values()].map((group) => {
    const auto = group.filter(({ mode }) => mode === 'auto')
    const off = group.filter(({ mode }) => mode === 'off')
    const { link, payload, batchBytes } = medianSample(group)
    return {
      link,
      payload,
      batchBytes,
      auto: medianSample(auto),
      off: medianSample(off),
      gain: ratioSpread(auto, off, ({ megabytesPerSecond }) => megabytesPerSecond),
      cpu: ratioSpread(auto, off, ({ cpuMicros }) => cpuMicros),
    }
  })
}

/**
 * `link`: title of the one of 1 Gbit/s. compressionGain1G and compressionCpu are medians over payloads and sizes that can
 * be compressed; compressionGainLeast is the worst of everything.
 */
export function compressionPart(rows: readonly CompressionRow[], link: string): PartResult {
  const compressible = rows.filter((row) => row.link === link && row.payload !== 'noise')
  return {
    ratios: {
      compressionGain1G: median(compressible.map(({ gain }) => gain.median)),
      compressionGainLeast: Math.min(...rows.map(({ gain }) => gain.median)),
      compressionCpu: median(compressible.map(({ cpu }) => cpu.median)),
    },
    ratioSpreads: {},
    tables: [tableOf(rows)],
  }
}

const ratio = ({ median: middle, min, max }: Spread): string =>
  `${middle.toFixed(2)} (${min.toFixed(2)}–${max.toFixed(2)})`
const pair = (off: number, auto: number): string => `${off.toFixed(0)} → ${auto.toFixed(0)}`

function tableOf(rows: readonly CompressionRow[]): Table {
  return {
    title: 'Compression off → auto, one batch in flight over TLS',
    columns: ['link', 'payload', 'batch', 'sent', 'MB/s', 'gain', 'p50 µs', 'CPU µs', 'CPU'],
    lines: rows.map(({ link, payload, batchBytes, off, auto, gain, cpu }) => [
      ...[link, payload, `${batchBytes / 1024} KiB`, `${Math.round(auto.sentShare * 100)} %`],
      ...[pair(off.megabytesPerSecond, auto.megabytesPerSecond), ratio(gain)],
      ...[pair(off.p50Micros, auto.p50Micros), pair(off.cpuMicros, auto.cpuMicros), ratio(cpu)],
    ]),
  }
}
