// Accepts connections of other nodes: plain TCP first, so that what has not yet shown a certificate is counted and has a
// time limit; then the handshake, with the identity that is in force at that moment.
// Sessions are never resumed: each connection proves its certificate anew.
import { createServer, type Server, type Socket } from 'node:net'
import { createServer as createTlsServer, type TLSSocket } from 'node:tls'

import type { IoError } from '../../../base/errors.ts'
import type { Ms } from '../../../base/units.ts'
import { printNetworkAddress } from '../network.ts'
import type { Listener, NetworkAddress } from '../network.ts'
import type { PeerStream } from '../peer-network.ts'
import { toIoError } from './errno.ts'
import { HANDSHAKE_TIMEOUT_CODE, tlsReason } from './tls-errors.ts'
import type { TlsFiles } from './tls-files.ts'
import { nodeNameOf } from './tls-identity.ts'
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

export class TlsListener implements Listener {
  address: NetworkAddress
  private readonly parts: TlsListenerParts
  private readonly server: Server
  /** Sockets by the address at their other end. */
  private readonly halfOpen = new Map<string, Set<Socket>>()
  private halfOpenCount = 0

  constructor(address: NetworkAddress, parts: TlsListenerParts) {
    this.address = address
    this.parts = parts
    // During the handshake an end of the other side is the end.
    this.server = createServer({ ...TLS_SOCKET, allowHalfOpen: false }, (socket) => this.accept(socket))
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
    for (const sockets of this.halfOpen.values()) for (const socket of sockets) socket.destroy()
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
    const sameAddress = this.halfOpen.get(address)?.size ?? 0
    if (this.halfOpenCount >= HALF_OPEN_MAX || sameAddress >= HALF_OPEN_OF_ADDRESS_MAX) {
      this.parts.refusals.note(address, 'too many connections that have not shown a certificate')
      socket.destroy()
      return
    }
    this.handshake(socket, address, this.countIn(socket, address))
  }

  /** Returns what ends the counting; it may be called again. */
  private countIn(socket: Socket, address: string): () => void {
    const sockets = this.halfOpen.get(address) ?? new Set()
    this.halfOpen.set(address, sockets.add(socket))
    this.halfOpenCount++
    return () => {
      if (!sockets.delete(socket)) return
      this.halfOpenCount--
      if (sockets.size === 0 && this.halfOpen.get(address) === sockets) this.halfOpen.delete(address)
    }
  }

  /**
   * A tls.Server that never listens does the handshake. One for each connection (0.2 ms): its events do not say whose
   * they are once a socket is closed, and only so each connection has the identity that is in force now.
   */
  private handshake(socket: Socket, address: string, settle: () => void): void {
    const { files, refusals, handshakeLimitMs } = this.parts
    let verdict: string | null = null
    const timer = setTimeout(() => {
      verdict = tlsReason({ code: HANDSHAKE_TIMEOUT_CODE })
      socket.destroy()
    }, handshakeLimitMs)
    timer.unref()
    const settled = (): void => {
      clearTimeout(timer)
      settle()
    }
    socket.once('close', settled)
    const server = createTlsServer({ ...files.current().options, requestCert: true, rejectUnauthorized: true })
    server.once('secureConnection', (secured) => {
      settled()
      this.welcome(secured, address)
    })
    server.once('tlsClientError', (error, refused) => {
      settled()
      // Node's verdict on a certificate stands at the socket; the error is then a mere reset.
      const code: unknown = refused.authorizationError
      refusals.note(address, verdict ?? tlsReason(typeof code === 'string' ? { code } : error))
      refused.on('error', () => {})
      refused.destroy()
    })
    server.emit('connection', socket)
  }

  private welcome(socket: TLSSocket, address: string): void {
    const certificate = socket.getPeerX509Certificate()
    const node = certificate === undefined ? null : nodeNameOf(certificate)
    if (node !== null) {
      socket.allowHalfOpen = true
      this.parts.onStream(new TlsStream(socket, `${address} node=${node}`, node))
      return
    }
    this.parts.refusals.note(address, "the other side's certificate names no node")
    socket.on('error', () => {})
    socket.destroy()
  }
}
