// Port of the streams between nodes: mutually authenticated byte streams, each side knowing the other's node name from
// its certificate. Real: TLS 1.3 (io/real/tls-network.ts); simulated: test/sim/network.ts.
import type { IoError } from '../../base/errors.ts'
import type { ByteStream, Listener, NetworkAddress } from './network.ts'

/** A host name (RFC 1123 subdomain, as Kubernetes names nodes); capitals are tolerated for plain hosts. */
export const NODE_NAME_PATTERN = /^[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?$/

/** Length of the value that both ends of one TLS connection derive and nobody else knows (RFC 8446 §7.5). */
export const EXPORTER_BYTES = 32

export interface PeerStream extends ByteStream {
  /** Node that the other side's certificate names. */
  readonly peerNode: string
  /** EXPORTER_BYTES bytes bound to this very connection: a proof made for it is worthless on another. */
  exporter(): Buffer
}

export interface PeerNetwork {
  /** Calls `onStream` for each stream whose other side has shown a certificate of our CA. */
  listen(
    address: NetworkAddress,
    onStream: (stream: PeerStream) => void,
    done: (error: IoError | null, listener: Listener | null) => void,
  ): void
  /** Refused (EACCES) when the other side's certificate does not name `node`. The caller has the time limit. */
  connect(address: NetworkAddress, node: string, done: (error: IoError | null, stream: PeerStream | null) => void): void
}
