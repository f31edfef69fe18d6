// Accepts connections of other nodes: plain TCP first, so that what has not yet shown a certificate is counted and has a
// time limit; then the handshake, with the identity that is in force at that moment.
// Sessions are never resumed: each connection proves its certificate anew.
import { createServer, type Server, type Socket } from 'node:net'
import { createServer as createTlsServer, type Server as TlsServer, type TLSSocket } from 'node:tls'

import type { IoError } from '../../../base/errors.ts'
import type { Ms } from '../../../base/units.ts'
import { printNetworkAddress } from '../network.ts'
import type { Listener, NetworkAddress } from '../network.ts'
import type { PeerStream } from '../peer-network.ts'
import { toIoError } from './errno.ts'
import { HANDSHAKE_TIMEOUT_CODE, tlsReason } from './tls-errors.ts'
import type { TlsFiles } from './tls-files.ts'
import { nodeNameOf, type TlsIdentity } from './tls-identity.ts'
import type { TlsRefusals } from './tls-refusals.ts'
import { TLS_SOCKET, TlsStream } from './tls-stream.ts'

/** From the accepted connection to the verified certificate. */
export const HANDSHAKE_LIMIT_MS: Ms = 5000
/** Connections that have shown no certificate yet, of all addresses. */
export const HALF_OPEN_MAX = 256
/** The same, of one address: a node connects once for each of its volumes, all at once after a restart. */
export const HALF_OPEN_OF_ADDRESS_MAX = 64

export interface TlsListenerParts {
  readonly files: TlsFiles
  readonly refusals: TlsRefusals
  readonly onStream: (stream: PeerStream) => void
  readonly handshakeLimitMs: Ms
}

interface HalfOpen {
  readonly address: string
  readonly socket: Socket
  readonly timer: NodeJS.Timeout
}

export class TlsListener implements Listener {
  address: NetworkAddress
  private readonly parts: TlsListenerParts
  private readonly server: Server
  private readonly halfOpen = new Map<string, HalfOpen>()
  private readonly ofAddress = new Map<string, number>()
  private handshakes: { readonly identity: TlsIdentity; readonly server: TlsServer } | null = null

  constructor(address: NetworkAddress, parts: TlsListenerParts) {
    this.address = address
    this.parts = parts
    this.server = createServer({ ...TLS_SOCKET, allowHalfOpen: true }, (socket) => this.accept(socket))
  }

  start(done: (error: IoError | null) => void): void {
    const { address, server } = this
    if (address.kind !== 'tcp') {
      done(toIoError({ code: 'EAFNOSUPPORT' }, `nodes are reached by TCP only address=${printNetworkAddress(address)}`))
      return
    }
    server.once('error', (error) => done(toIoError(error, `listen failed address=${printNetworkAddress(address)}`)))
    server.listen(address.port, address.host, () => {
      server.removeAllListeners('error')
      // Accepting failed (too many descriptors): the other side sees a reset, the server goes on.
      server.on('error', () => {})
      const bound = server.address()
      if (typeof bound === 'object' && bound !== null) this.address = { ...address, port: bound.port }
      done(null)
    })
  }

  close(done: () => void): void {
    // Node's callback waits for the open streams, too; the address is free at once.
    this.server.close()
    for (const { socket } of this.halfOpen.values()) socket.destroy()
    setImmediate(done)
  }

  private accept(socket: Socket): void {
    const address = socket.remoteAddress
    // Without an address it is closed already.
    if (address === undefined) {
      socket.destroy()
      return
    }
    socket.on('error', () => {})
    const key = keyOf(socket)
    const sameAddress = this.ofAddress.get(address) ?? 0
    if (this.halfOpen.size >= HALF_OPEN_MAX || sameAddress >= HALF_OPEN_OF_ADDRESS_MAX) {
      this.parts.refusals.note(address, 'too many connections that have not shown a certificate')
      socket.destroy()
      return
    }
    const timer = setTimeout(() => {
      this.parts.refusals.note(address, tlsReason({ code: HANDSHAKE_TIMEOUT_CODE }))
      socket.destroy()
    }, this.parts.handshakeLimitMs)
    timer.unref()
    this.halfOpen.set(key, { address, socket, timer })
    this.ofAddress.set(address, sameAddress + 1)
    socket.once('close', () => this.settle(key))
    this.handshakeServer().emit('connection', socket)
  }

  /** No longer half open. Returns its address; null when it was settled before. */
  private settle(key: string): string | null {
    const found = this.halfOpen.get(key)
    if (found === undefined) return null
    clearTimeout(found.timer)
    this.halfOpen.delete(key)
    const rest = (this.ofAddress.get(found.address) ?? 1) - 1
    if (rest > 0) this.ofAddress.set(found.address, rest)
    else this.ofAddress.delete(found.address)
    return found.address
  }

  /** Does the handshakes of connections that `accept` hands over; never listens itself. One for each identity. */
  private handshakeServer(): TlsServer {
    const identity = this.parts.files.current()
    if (this.handshakes?.identity === identity) return this.handshakes.server
    const server = createTlsServer({ ...identity.options, requestCert: true, rejectUnauthorized: true })
    server.on('secureConnection', (socket) => this.onSecure(socket))
    server.on('tlsClientError', (error, socket) => this.onRefused(error, socket))
    this.handshakes = { identity, server }
    return server
  }

  private onSecure(socket: TLSSocket): void {
    const address = this.settle(keyOf(socket))
    const certificate = socket.getPeerX509Certificate()
    const node = certificate === undefined ? null : nodeNameOf(certificate)
    if (address === null || node === null) {
      if (address !== null) this.parts.refusals.note(address, "the other side's certificate names no node")
      socket.on('error', () => {})
      socket.destroy()
      return
    }
    this.parts.onStream(new TlsStream(socket, `${address} node=${node}`, node))
  }

  private onRefused(error: Error, socket: TLSSocket): void {
    const address = this.settle(keyOf(socket))
    // Node's verdict on a certificate stands at the socket; the error is then a mere reset.
    if (address !== null) {
      const verdict: unknown = socket.authorizationError
      this.parts.refusals.note(address, tlsReason(typeof verdict === 'string' ? { code: verdict } : error))
    }
    socket.on('error', () => {})
    socket.destroy()
  }
}

const keyOf = (socket: Socket): string => `${socket.remoteAddress} ${socket.remotePort}`
