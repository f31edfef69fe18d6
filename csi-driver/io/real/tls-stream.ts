// One connection whose certificates have been checked, as a PeerStream: the bytes are SocketStream's business.
import type { TLSSocket } from 'node:tls'

import type { Bytes } from '../../../base/units.ts'
import type { StreamHandlers } from '../network.ts'
import { EXPORTER_BYTES, type PeerStream } from '../peer-network.ts'
import { SocketStream } from './socket-stream.ts'
import { tlsIoError } from './tls-errors.ts'

/** RFC 8446 §7.5; another protocol over the same connection would take another label. */
export const EXPORTER_LABEL = 'EXPORTER-forebay-volume'

/** How sockets between nodes are set up: small messages leave at once, a dead host is noticed also when idle. */
export const TLS_SOCKET = { noDelay: true, keepAlive: true, keepAliveInitialDelay: 5000 } as const

export class TlsStream implements PeerStream {
  readonly peerNode: string
  private readonly stream: SocketStream
  /** Taken at once: a closed connection has none. */
  private readonly exported: Buffer

  constructor(socket: TLSSocket, remote: string, peerNode: string) {
    socket.pause()
    this.peerNode = peerNode
    this.exported = socket.exportKeyingMaterial(EXPORTER_BYTES, EXPORTER_LABEL, Buffer.alloc(0))
    this.stream = new SocketStream(socket, remote, tlsIoError)
  }

  exporter(): Buffer {
    return Buffer.from(this.exported)
  }

  get remote(): string {
    return this.stream.remote
  }

  get pendingBytes(): Bytes {
    return this.stream.pendingBytes
  }

  start(handlers: StreamHandlers): void {
    this.stream.start(handlers)
  }

  write(bytes: Buffer): boolean {
    return this.stream.write(bytes)
  }

  push(): void {
    this.stream.push()
  }

  pause(): void {
    this.stream.pause()
  }

  resume(): void {
    this.stream.resume()
  }

  end(): void {
    this.stream.end()
  }

  destroy(): void {
    this.stream.destroy()
  }
}
