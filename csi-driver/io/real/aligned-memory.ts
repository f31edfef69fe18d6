// Page-aligned buffers, as O_DIRECT needs them. Node's own buffers are aligned to 16 bytes at best; the memory of
// WebAssembly begins on a page and never moves as long as nobody grows it (datapath §7.1). Pages that nobody touches
// cost no memory. Small allocations share a slab, which is never given back; a large one is when nobody refers to it.
import { assert } from '../../../base/assert.ts'
import { BLOCK_BYTES, MIB, roundUp } from '../../../base/units.ts'
import type { AlignedMemory } from '../storage.ts'

const WASM_PAGE_BYTES = 65_536
/** WebAssembly refuses more than 65,536 pages in one memory. */
const ALLOCATION_BYTES_MAX = 65_536 * WASM_PAGE_BYTES
const SLAB_BYTES = 4 * MIB

interface WasmMemoryMaker {
  readonly Memory: new (pages: {
    readonly initial: number
    readonly maximum: number
  }) => { readonly buffer: ArrayBuffer }
}
// The type library without a browser does not declare it.
// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- see above
const { Memory } = (globalThis as unknown as { readonly WebAssembly: WasmMemoryMaker }).WebAssembly

export class SystemAlignedMemory implements AlignedMemory {
  /** Address space handed out so far, slabs counted whole. */
  reservedBytes = 0
  private slab: Buffer = Buffer.alloc(0)
  private used = 0

  /** A zeroed buffer that begins on a page. Throws AssertionError beyond 4 GiB. */
  allocate(length: number): Buffer {
    assert(Number.isSafeInteger(length) && length > 0, `length of an allocation length=${length}`)
    assert(length <= ALLOCATION_BYTES_MAX, `one allocation is at most 4 GiB length=${length}`)
    const wanted = roundUp(length, BLOCK_BYTES)
    if (wanted > SLAB_BYTES / 2) return this.reserve(wanted).subarray(0, length)
    if (this.used + wanted > this.slab.length) {
      this.slab = this.reserve(SLAB_BYTES)
      this.used = 0
    }
    const start = this.used
    this.used += wanted
    return this.slab.subarray(start, start + length)
  }

  private reserve(length: number): Buffer {
    const pages = Math.ceil(length / WASM_PAGE_BYTES)
    const memory = new Memory({ initial: pages, maximum: pages })
    this.reservedBytes += pages * WASM_PAGE_BYTES
    return Buffer.from(memory.buffer)
  }
}
