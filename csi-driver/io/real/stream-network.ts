// The operating system's byte streams behind the Network port: unix sockets and TCP through node:net.
import { chmodSync, lstatSync, unlinkSync } from 'node:fs'
import { createServer, connect as openSocket } from 'node:net'
import type { Server } from 'node:net'

import type { IoError } from '../../../base/errors.ts'
import { checkAddress, printNetworkAddress } from '../network.ts'
import type { ByteStream, Listener, Network, NetworkAddress } from '../network.ts'
import { errnoName, toIoError } from './errno.ts'
import { SocketStream } from './socket-stream.ts'

export class StreamNetwork implements Network {
  listen(
    address: NetworkAddress,
    onStream: (stream: ByteStream) => void,
    done: (error: IoError | null, listener: Listener | null) => void,
  ): void {
    checkAddress(address)
    const server = createServer({ allowHalfOpen: true, pauseOnConnect: true, noDelay: true }, (socket) => {
      onStream(new SocketStream(socket, `${printNetworkAddress(address)} client`))
    })
    const start = (): void => {
      if (address.kind === 'unix') server.listen(address.path)
      else server.listen(address.port, address.host)
    }
    listenOn(server, start, address.kind === 'unix' ? address.path : null, (error) => {
      if (error === null) done(null, new ServerListener(server, address))
      else done(toIoError(error, `listen failed address=${printNetworkAddress(address)}`), null)
    })
  }

  connect(address: NetworkAddress, done: (error: IoError | null, stream: ByteStream | null) => void): void {
    checkAddress(address)
    const target = address.kind === 'unix' ? { path: address.path } : { host: address.host, port: address.port }
    const socket = openSocket({ ...target, allowHalfOpen: true, noDelay: true })
    const failed = (error: unknown): void => {
      socket.destroy()
      done(toIoError(error, `connect failed address=${printNetworkAddress(address)}`), null)
    }
    socket.once('error', failed)
    socket.once('connect', () => {
      socket.removeListener('error', failed)
      socket.pause()
      done(null, new SocketStream(socket, printNetworkAddress(address)))
    })
  }
}

/**
 * Lets a server listen by calling `start`, once more where the file of a unix socket (`path`; null: it is none) is left over
 * from a dead process. `done` runs once, with what the system refused it for.
 */
export function listenOn(server: Server, start: () => void, path: string | null, done: (error: unknown) => void): void {
  server.once('listening', () => {
    server.removeAllListeners('error')
    // Accepting failed (too many descriptors): the client sees a reset, the server goes on.
    server.on('error', () => {})
    done(null)
  })
  server.once('error', (error) => {
    if (path === null || errnoName(error) !== 'EADDRINUSE') {
      done(error)
      return
    }
    replaceDeadSocket(path, (replaced) => {
      if (!replaced) {
        done(error)
        return
      }
      server.once('error', done)
      start()
    })
  })
  start()
}

/** A socket file that nobody accepts on is left over from a dead process and is removed. */
function replaceDeadSocket(path: string, done: (replaced: boolean) => void): void {
  const probe = openSocket({ path })
  probe.once('connect', () => {
    probe.destroy()
    done(false)
  })
  probe.once('error', (error) => {
    if (errnoName(error) !== 'ECONNREFUSED') {
      done(false)
      return
    }
    try {
      // Connecting to any other kind of file is refused with the same errno; it is not ours to remove.
      const isSocket = lstatSync(path).isSocket()
      if (isSocket) unlinkSync(path)
      done(isSocket)
    } catch {
      done(false)
    }
  })
}

class ServerListener implements Listener {
  readonly address: NetworkAddress
  private readonly server: Server

  constructor(server: Server, address: NetworkAddress) {
    this.server = server
    if (address.kind === 'unix') {
      chmodSync(address.path, 0o600)
      this.address = address
    } else {
      const bound = server.address()
      const port = typeof bound === 'object' && bound !== null ? bound.port : address.port
      this.address = { ...address, port }
    }
  }

  close(done: () => void): void {
    // Node's callback waits for the open streams, too; the address is free at once.
    this.server.close()
    setImmediate(done)
  }
}
