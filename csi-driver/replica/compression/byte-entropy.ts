// How random a payload looks, from a sample of it: about 2 µs whatever its length, far below a compression.
//
// Order-0 entropy: encrypted and compressed bytes give nearly 8 bits, text 4 to 5, zeros 0. It sees no repetition of
// whole phrases, so it sorts payloads into classes and does not predict a ratio; that is learnt per class.

/** Neighbouring bytes are read together, or a sample at a fixed stride would only see, say, low bytes of integers. */
const RUN_BYTES = 8
const RUNS = 64
const SAMPLE_BYTES = RUNS * RUN_BYTES

const counts = new Uint16Array(256)
/** count · log2(count) for every count that a sample can have. */
const weights = Float64Array.from({ length: SAMPLE_BYTES + 1 }, (_, count) =>
  count < 2 ? 0 : count * Math.log2(count),
)

function countBytes(bytes: Buffer, start: number, end: number): void {
  for (let at = start; at < end; at++) {
    const byte = bytes[at] ?? 0
    counts[byte] = (counts[byte] ?? 0) + 1
  }
}

/** Bits per byte, 0 to 8, of a sample of bytes[start, start+length). */
export function sampledEntropy(bytes: Buffer, start: number, length: number): number {
  counts.fill(0)
  const sampled = Math.min(length, SAMPLE_BYTES)
  if (sampled === 0) return 0
  if (length <= SAMPLE_BYTES) {
    countBytes(bytes, start, start + length)
  } else {
    const stride = (length - RUN_BYTES) / (RUNS - 1)
    for (let run = 0; run < RUNS; run++) {
      const at = start + Math.floor(run * stride)
      countBytes(bytes, at, at + RUN_BYTES)
    }
  }
  let sum = 0
  for (let byte = 0; byte < counts.length; byte++) sum += weights[counts[byte] ?? 0] ?? 0
  return Math.log2(sampled) - sum / sampled
}
