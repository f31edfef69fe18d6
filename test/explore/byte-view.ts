// Named fields over bytes. A state of the explorer is one small array of bytes, so that it is copied, compared and hashed
// in one go; the model reads and writes it by name through views. Getters of a view cost as much as the array access.

export interface ByteView {
  readonly bytes: Uint8Array
  /** Offset of the view's first byte. */
  readonly at: number
}

export interface ByteViewClass<Name extends string> {
  readonly sizeBytes: number
  new (bytes: Uint8Array, at: number): ByteView & Record<Name, number>
}

/** A class of views with the given fields, each 1 or 2 bytes (little-endian), in the order of `fields`. */
export function byteViewOf<Name extends string>(fields: Readonly<Record<Name, 1 | 2>>): ByteViewClass<Name> {
  class View implements ByteView {
    static sizeBytes = 0
    readonly bytes: Uint8Array
    readonly at: number
    constructor(bytes: Uint8Array, at: number) {
      this.bytes = bytes
      this.at = at
    }
  }
  for (const [name, size] of Object.entries(fields)) {
    Object.defineProperty(View.prototype, name, size === 1 ? oneByte(View.sizeBytes) : twoBytes(View.sizeBytes))
    View.sizeBytes += size === 1 ? 1 : 2
  }
  return View as unknown as ByteViewClass<Name>
}

function oneByte(offset: number): PropertyDescriptor & ThisType<ByteView> {
  return {
    get() {
      return this.bytes[this.at + offset]
    },
    set(value: number) {
      this.bytes[this.at + offset] = value
    },
  }
}

function twoBytes(offset: number): PropertyDescriptor & ThisType<ByteView> {
  return {
    get() {
      return (this.bytes[this.at + offset] as number) | ((this.bytes[this.at + offset + 1] as number) << 8)
    },
    set(value: number) {
      this.bytes[this.at + offset] = value & 0xff
      this.bytes[this.at + offset + 1] = value >> 8
    },
  }
}
