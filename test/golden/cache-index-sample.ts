// The index that is recorded as cache-index-v1, from fixed values, and how it is told in lines.
import type { CacheIndex } from '../../csi-driver/engine/previous-cache/cache-index.ts'

export const SAMPLE_INDEX: CacheIndex = {
  volume: 'database',
  volumeUuid: '00112233445566778899aabbccddeeff',
  storeUuid: 'ffeeddccbbaa99887766554433221100',
  incarnation: 2,
  epochLeft: 4,
  registerRv: 77,
  movedTo: 'node-b.example',
  wallMs: 1_700_000_000_123,
  slotsStart: 1_073_774_592,
  slotCount: 1000,
  blocks: Uint32Array.of(0, 7, 4_294_967_295),
  slots: Uint32Array.of(999, 0, 12),
  hashes: Uint32Array.of(0, 0xfedc_ba98, 0x0123_4567),
}

export function indexText({ blocks, slots, hashes, ...header }: CacheIndex): string {
  const lines = Object.entries(header).map(([name, value]) => `${name} ${value}`)
  const entries = [...blocks].map((block, i) => `block ${block} slot ${slots[i]} hash ${hashes[i]?.toString(16)}`)
  return `${[...lines.toSorted(), ...entries].join('\n')}\n`
}
