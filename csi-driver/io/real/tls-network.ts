// The streams between nodes: TLS 1.3 in both directions, each side with a certificate of the one private CA, the node's
// name taken from it. Addresses only say where to connect; host names and SNI play no part.
import { connect as connectTls, type TLSSocket } from 'node:tls'

import type { Clock } from '../../../base/clock.ts'
import { IoError } from '../../../base/errors.ts'
import type { EventLog } from '../../../base/log.ts'
import type { Ms } from '../../../base/units.ts'
import { printNetworkAddress } from '../network.ts'
import type { Listener, NetworkAddress } from '../network.ts'
import type { PeerNetwork, PeerStream } from '../peer-network.ts'
import { HANDSHAKE_TIMEOUT_CODE, tlsIoError } from './tls-errors.ts'
import { TlsFiles } from './tls-files.ts'
import { nodeNameOf } from './tls-identity.ts'
import { HANDSHAKE_LIMIT_MS, TlsListener } from './tls-listener.ts'
import { TlsRefusals } from './tls-refusals.ts'
import { TLS_SOCKET, TlsStream } from './tls-stream.ts'

/** From the first packet to the verified certificate; callers usually give up earlier. */
const CONNECT_LIMIT_MS: Ms = 10_000

export interface TlsNetworkParts {
  /** Holds ca.crt, tls.crt and tls.key. */
  readonly tlsDir: string
  readonly clock: Clock
  readonly log: EventLog
  /** HANDSHAKE_LIMIT_MS unless given. */
  readonly handshakeLimitMs?: Ms
}

export class TlsNetwork implements PeerNetwork {
  /** Our name, as our certificate says it. */
  readonly node: string
  readonly files: TlsFiles
  readonly refusals: TlsRefusals
  private readonly handshakeLimitMs: Ms

  /** Reads and checks the files; throws CacheError 'invalid' with a remedy. */
  constructor({ tlsDir, clock, log, handshakeLimitMs = HANDSHAKE_LIMIT_MS }: TlsNetworkParts) {
    this.files = new TlsFiles(tlsDir, clock, log)
    this.refusals = new TlsRefusals(clock, log)
    this.node = this.files.current().node
    this.handshakeLimitMs = handshakeLimitMs
  }

  listen(
    address: NetworkAddress,
    onStream: (stream: PeerStream) => void,
    done: (error: IoError | null, listener: Listener | null) => void,
  ): void {
    const { files, refusals, handshakeLimitMs } = this
    const listener = new TlsListener(address, { files, refusals, onStream, handshakeLimitMs })
    listener.start((error) => done(error, error === null ? listener : null))
  }

  connect(
    address: NetworkAddress,
    node: string,
    done: (error: IoError | null, stream: PeerStream | null) => void,
  ): void {
    const what = `connect failed node=${node} address=${printNetworkAddress(address)}`
    if (address.kind !== 'tcp') {
      process.nextTick(done, new IoError('EAFNOSUPPORT', `${what} reason="nodes are reached by TCP only"`), null)
      return
    }
    const options = {
      host: address.host,
      port: address.port,
      secureContext: this.files.current().context,
      allowHalfOpen: true,
      rejectUnauthorized: true,
      // The name of a node stands in the certificate and is compared below; how the host is reached says nothing.
      servername: '',
      checkServerIdentity: () => undefined,
    }
    const socket = connectTls(options)
    socket.setNoDelay(TLS_SOCKET.noDelay)
    socket.setKeepAlive(TLS_SOCKET.keepAlive, TLS_SOCKET.keepAliveInitialDelay)
    const failed = (error: unknown): void => {
      clearTimeout(timer)
      socket.removeListener('secureConnect', secured)
      socket.removeListener('error', failed)
      socket.on('error', () => {})
      socket.destroy()
      done(error instanceof IoError ? error : tlsIoError(error, what), null)
    }
    const timer = setTimeout(() => failed({ code: HANDSHAKE_TIMEOUT_CODE }), CONNECT_LIMIT_MS)
    timer.unref()
    const secured = (): void => {
      const found = peerNodeOf(socket)
      if (found !== node) {
        failed(new IoError('EACCES', `${what} reason="the certificate there names ${found ?? 'no node'}"`))
        return
      }
      clearTimeout(timer)
      socket.removeListener('error', failed)
      done(null, new TlsStream(socket, printNetworkAddress(address), node))
    }
    socket.once('error', failed)
    socket.once('secureConnect', secured)
  }

  /** Looks at the files no more; connections and listeners are not touched. */
  close(): void {
    this.files.close()
  }
}

function peerNodeOf(socket: TLSSocket): string | null {
  const certificate = socket.getPeerX509Certificate()
  return certificate === undefined ? null : nodeNameOf(certificate)
}
