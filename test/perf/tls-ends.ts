// The two ends of a TLS 1.3 connection as the parts of the bench that measure the wire need them: both show a
// certificate, and no delay holds back what is small. A directory holds tls.key, tls.crt and ca.crt.
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { connect, createServer, type TLSSocket } from 'node:tls'

interface Credentials {
  readonly key: Buffer
  readonly cert: Buffer
  readonly ca: Buffer
  readonly minVersion: 'TLSv1.3'
}

function credentialsIn(directory: string): Credentials {
  const read = (name: string): Buffer => readFileSync(`${directory}/${name}`)
  return { key: read('tls.key'), cert: read('tls.crt'), ca: read('ca.crt'), minVersion: 'TLSv1.3' }
}

export interface TlsEnd {
  readonly address: string
  /** 0 lets the kernel choose one for a listener. */
  readonly port: number
  readonly directory: string
}

/** Gives each connection to `take`, which owns it from then on; one that breaks is closed. Returns the port. */
export async function listenTls(
  { address, port, directory }: TlsEnd,
  take: (socket: TLSSocket) => void,
): Promise<number> {
  const options = { ...credentialsIn(directory), requestCert: true, rejectUnauthorized: true }
  const server = createServer(options, (socket) => {
    socket.setNoDelay(true)
    socket.on('error', () => socket.destroy())
    take(socket)
  })
  server.listen(port, address)
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

/** The caller closes it. Throws when nobody listens there, or without a certificate of the same authority. */
export async function connectTls({ address, port, directory }: TlsEnd): Promise<TLSSocket> {
  // The certificate names a node, not an address.
  const socket = connect({
    ...credentialsIn(directory),
    host: address,
    port,
    checkServerIdentity: () => undefined,
  })
  await once(socket, 'secureConnect')
  return socket.setNoDelay(true)
}
