// The requests that carry no data: look-up, attributes, open, statfs and what only needs a polite answer. One file in
// one directory. Decides and encodes; writes nothing to the kernel.
import type { Bytes } from '../../../base/units.ts'
import {
  EINVAL,
  ENOENT,
  ENOSYS,
  EPERM,
  FILE_NODE,
  IN_HEADER_BYTES,
  IN_NODE_LOW,
  OP_ACCESS,
  OP_DESTROY,
  OP_FLUSH,
  OP_FSYNCDIR,
  OP_GETATTR,
  OP_LOOKUP,
  OP_OPEN,
  OP_OPENDIR,
  OP_READDIR,
  OP_RELEASE,
  OP_RELEASEDIR,
  OP_SETATTR,
  OP_STATFS,
  ROOT_NODE,
  SETATTR_IN_VALID,
  SETATTR_SIZE,
} from './abi.ts'
import { encodeAttributes, encodeFileEntry, encodeOpenDirectory, encodeOpenFile, encodeStatfs } from './replies.ts'

/** The file as the kernel sees it. */
export interface FileFacts {
  readonly name: string
  readonly sizeBytes: Bytes
}

export interface MetadataRequest {
  readonly buffer: Buffer
  readonly length: Bytes
}

/** Where the body of the reply goes. */
export interface MetadataReply {
  readonly buffer: Buffer
  readonly start: number
}

/** Length of the body written to the reply, or an errno as a negative number. */
type Handler = (request: MetadataRequest, reply: MetadataReply, file: FileFacts) => number

function nodeOf(request: MetadataRequest): number {
  return request.buffer.readUInt32LE(IN_NODE_LOW)
}

const ok: Handler = () => 0

const lookup: Handler = ({ buffer, length }, reply, file) => {
  // The name ends with a zero byte; longer than the request it cannot be.
  const name = buffer.toString('utf8', IN_HEADER_BYTES, Math.max(IN_HEADER_BYTES, length - 1))
  return name === file.name ? encodeFileEntry(reply.buffer, reply.start, file.sizeBytes) : -ENOENT
}

const getAttributes: Handler = (request, reply, file) => {
  const node = nodeOf(request)
  if (node !== ROOT_NODE && node !== FILE_NODE) return -ENOENT
  return encodeAttributes(reply.buffer, reply.start, node, file.sizeBytes)
}

const setAttributes: Handler = (request, reply, file) => {
  if (request.length < SETATTR_IN_VALID + 4) return -EINVAL
  // The size follows the backing device; nobody changes it from above. The rest is taken for done.
  if ((request.buffer.readUInt32LE(SETATTR_IN_VALID) & SETATTR_SIZE) !== 0) return -EPERM
  return getAttributes(request, reply, file)
}

const HANDLERS: ReadonlyMap<number, Handler> = new Map<number, Handler>([
  [OP_LOOKUP, lookup],
  [OP_GETATTR, getAttributes],
  [OP_SETATTR, setAttributes],
  [OP_OPEN, (request, reply) => (nodeOf(request) === FILE_NODE ? encodeOpenFile(reply.buffer, reply.start) : -ENOENT)],
  [OP_OPENDIR, (_request, reply) => encodeOpenDirectory(reply.buffer, reply.start)],
  [OP_STATFS, (_request, reply, file) => encodeStatfs(reply.buffer, reply.start, file.sizeBytes)],
  [OP_READDIR, ok],
  [OP_RELEASE, ok],
  [OP_RELEASEDIR, ok],
  [OP_FSYNCDIR, ok],
  [OP_ACCESS, ok],
  [OP_DESTROY, ok],
  // close(2) promises nothing about durability; that is FSYNC's business.
  [OP_FLUSH, ok],
])

/**
 * Answers one request. Returns the length of the body written at `reply`, or -errno; -ENOSYS for what we do not offer,
 * after which the kernel does not ask again. Never call it with FSYNC or FALLOCATE: there ENOSYS means "succeeds from
 * now on without asking".
 */
export function answerMetadata(
  opcode: number,
  request: MetadataRequest,
  reply: MetadataReply,
  file: FileFacts,
): number {
  const handler = HANDLERS.get(opcode)
  return handler === undefined ? -ENOSYS : handler(request, reply, file)
}
