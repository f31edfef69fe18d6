// Port of the fence: how an engine of another node that may still touch the backing is kept from it (PROTOCOL.md S2,
// DESIGN.md §7.7). Adapters: no-fence.ts, command-fence.ts, told-fence.ts; a confirmed detach by Kubernetes fits here too.
import type { Unfenced } from '../register/record.ts'

/**
 * off: the host is off, and with it every lease. cut: the host can neither read nor write the backing, but its engine may
 * still run: every lease is waited out.
 */
export type FenceProof = 'off' | 'cut'

export interface Fence {
  /** Throws CacheError `invalid` where neither is proven: the volume is not opened. May take as long as it needs. */
  fence(volume: string, entry: Unfenced): Promise<FenceProof>
}
