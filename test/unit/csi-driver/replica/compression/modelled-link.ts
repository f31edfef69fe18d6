// A link and a compressor as numbers, to try the choice without either: a fixed time plus so much per byte, noise and
// hiccups on top, and payloads of which the packed share and the compression time are given.
import { createPrng, type Prng } from '../../../../../base/prng.ts'
import { MIB } from '../../../../../base/units.ts'
import { AdaptiveChoice } from '../../../../../csi-driver/replica/compression/adaptive-choice.ts'

/** What the frame holds besides the payload. */
const FRAME_BYTES = 300
/** Per byte whatever the link: TLS, hashing, copying. */
const BYTE_MS = 0.6 / MIB
const CALL_MS = 0.014
/** What saves less is thrown away (adaptive-payloads.ts). */
const KEPT_SHARE_MAX = 15 / 16

interface Material {
  readonly share: number
  readonly msPerMib: number
  readonly byte: (prng: Prng) => number
}

/** Shares and times as measured for zstd at level 1 (docs/decisions/0008). */
const MATERIALS = {
  zeros: { share: 0.001, msPerMib: 0.2, byte: () => 0 },
  text: { share: 0.22, msPerMib: 2.2, byte: (prng: Prng) => 97 + Math.floor(26 * prng.float() ** 2) },
  pages: { share: 0.53, msPerMib: 2.7, byte: (prng: Prng) => (prng.chance(0.35) ? 0 : prng.below(256)) },
  noise: { share: 1, msPerMib: 0.5, byte: (prng: Prng) => prng.below(256) },
} satisfies Record<string, Material>

export type MaterialName = keyof typeof MATERIALS

export const MATERIAL_NAMES = Object.keys(MATERIALS) as MaterialName[]

const SAMPLE_PRNG = createPrng('materials')
const samples = new Map<MaterialName, Buffer>(
  MATERIAL_NAMES.map((name) => [
    name,
    Buffer.from(Array.from({ length: MIB }, () => MATERIALS[name].byte(SAMPLE_PRNG))),
  ]),
)

export interface Scenario {
  readonly materials: readonly MaterialName[]
  readonly sizes: readonly number[]
  readonly gbitPerSecond: number
  /** Round trip and disk. */
  readonly baseMs: number
  /** 0: none; 1: half of the base is exponentially distributed, and one batch of 500 takes 40 ms longer. */
  readonly noise: number
  /** Part of the batches that wait up to 8 ms for a core, on either side. */
  readonly heldUp?: number
}

export interface Outcome {
  /** Time of all batches sent raw over the time that they took. */
  readonly gain: number
  /** The same, had every batch been treated as was best for it. */
  readonly gainMax: number
  /** Part of the time that batches took longer than raw. */
  readonly slowedShare: number
  readonly compressedShare: number
  /** Times that the decision for one material and size changed, probes apart. */
  readonly changes: number
}

/** One volume's life with its choice; `run` may be called again with another scenario: the link has changed. */
export class ModelledLink {
  readonly choice = new AdaptiveChoice()
  private readonly prng: Prng
  private readonly decisions = new Map<string, boolean>()

  constructor(seed: string) {
    this.prng = createPrng(seed)
  }

  run(scenario: Scenario, batches: number): Outcome {
    const sum = { ms: 0, rawMs: 0, bestMs: 0, slowedMs: 0, compressed: 0, changes: 0 }
    for (let batch = 0; batch < batches; batch++) this.batch(scenario, sum)
    return {
      gain: sum.rawMs / sum.ms,
      gainMax: sum.rawMs / sum.bestMs,
      slowedShare: sum.slowedMs / sum.ms,
      compressedShare: sum.compressed / batches,
      changes: sum.changes,
    }
  }

  private batch(
    scenario: Scenario,
    sum: Record<'ms' | 'rawMs' | 'bestMs' | 'slowedMs' | 'compressed' | 'changes', number>,
  ) {
    const { prng, choice } = this
    const name = prng.pick(scenario.materials)
    const length = prng.pick(scenario.sizes)
    const { share, msPerMib } = MATERIALS[name]
    const costMs = (CALL_MS + (msPerMib * length) / MIB) * (0.9 + 0.2 * prng.float())
    const packedShare = Math.min(1, share * (0.9 + 0.2 * prng.float()))
    const packedBytes = packedShare > KEPT_SHARE_MAX ? length : packedShare * length
    const baseMs = this.baseMs(scenario)
    const sendMs = (bytes: number): number => baseMs + (bytes + FRAME_BYTES) * (8e-6 / scenario.gbitPerSecond + BYTE_MS)
    const compressedMs = costMs + sendMs(packedBytes)
    const compress = choice.decide(samples.get(name) as Buffer, 0, length)
    if (compress) choice.compressed(length, packedBytes, costMs)
    const sentBytes = compress ? packedBytes : length
    choice.sent(length, sentBytes + FRAME_BYTES, sendMs(sentBytes))
    const ms = compress ? compressedMs : sendMs(length)
    sum.ms += ms
    sum.rawMs += sendMs(length)
    sum.bestMs += Math.min(sendMs(length), compressedMs)
    sum.slowedMs += Math.max(0, ms - sendMs(length))
    sum.compressed += compress ? 1 : 0
    const key = `${name} ${length}`
    const decision = compress !== choice.isProbing
    if (this.decisions.has(key) && this.decisions.get(key) !== decision) sum.changes++
    this.decisions.set(key, decision)
  }

  private baseMs({ baseMs, noise, heldUp = 0 }: Scenario): number {
    const { prng } = this
    const drawn = -Math.log(1 - prng.float())
    const hiccup = noise > 0 && prng.chance(0.002) ? 40 : 0
    const preemption = heldUp > 0 && prng.chance(heldUp) ? 8 * prng.float() : 0
    return baseMs * (1 - noise / 2 + (noise * drawn) / 2) + hiccup + preemption
  }
}
