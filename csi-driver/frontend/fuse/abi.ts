// The FUSE protocol as far as one file needs it: opcodes, flags and structs of include/uapi/linux/fuse.h (protocol 7.40,
// kernel 6.9). Structs that we send are declared with base/layout.ts and encoded by it; of those that the kernel sends
// only offsets are used, because later kernels may fill what is padding today. The hot path reads fields by the offset
// constants at the end. All numbers are little-endian: the protocol has the byte order of the host, and the product
// runs on x86-64.
import { bytes, defineLayout, u16, u32, u64, u64big, zeros } from '../../../base/layout.ts'

export const FUSE_MAJOR = 7
/** What these structs implement; the kernel adapts to the smaller minor. */
export const FUSE_MINOR = 40
/** Kernel 5.10, the oldest on which loop over direct I/O is known to be sound (datapath §1.4). */
export const FUSE_MINOR_MIN = 32

export const OP_LOOKUP = 1
export const OP_FORGET = 2
export const OP_GETATTR = 3
export const OP_SETATTR = 4
export const OP_OPEN = 14
export const OP_READ = 15
export const OP_WRITE = 16
export const OP_STATFS = 17
export const OP_RELEASE = 18
export const OP_FSYNC = 20
export const OP_FLUSH = 25
export const OP_INIT = 26
export const OP_OPENDIR = 27
export const OP_READDIR = 28
export const OP_RELEASEDIR = 29
export const OP_FSYNCDIR = 30
export const OP_ACCESS = 34
export const OP_INTERRUPT = 36
export const OP_DESTROY = 38
/** What the kernel sends after NOTIFY_RETRIEVE; expects no reply. */
export const OP_NOTIFY_REPLY = 41
export const OP_BATCH_FORGET = 42
export const OP_FALLOCATE = 43

export const ROOT_NODE = 1
export const FILE_NODE = 2

// INIT flags, first word. Bits that we never ask for are left out on purpose (datapath §1.1): WRITEBACK_CACHE and
// AUTO_INVAL_DATA would put a page cache under the loop device, NO_OPEN_SUPPORT takes away FOPEN_DIRECT_IO.
export const INIT_ASYNC_READ = 0x1
export const INIT_BIG_WRITES = 0x20
export const INIT_ASYNC_DIO = 0x8000
export const INIT_ABORT_ERROR = 0x20_0000
export const INIT_MAX_PAGES = 0x40_0000
export const INIT_EXTENDED = 0x4000_0000
/** Second word (bit 39 of all): FUSE_HAS_RESEND, kernel 6.9. */
export const INIT2_HAS_RESEND = 0x80

export const OPEN_DIRECT_IO = 0x1
export const OPEN_NOFLUSH = 0x20
export const OPEN_PARALLEL_DIRECT_WRITES = 0x40

export const SETATTR_SIZE = 0x8
/** KEEP_SIZE | PUNCH_HOLE: what loop makes of a discard and of a write-zeroes that may unmap. */
export const FALLOCATE_PUNCH_HOLE = 3
/** KEEP_SIZE | ZERO_RANGE: write-zeroes that must stay allocated. */
export const FALLOCATE_ZERO_RANGE = 17
/** O_DSYNC, which O_SYNC includes, in the open flags that come with each write. */
export const OPEN_FLAG_DSYNC = 0o10000

export const NOTIFY_INVAL_INODE = 2
export const NOTIFY_RETRIEVE = 5
export const NOTIFY_RESEND = 7
/** Bit 63 of `unique`, as seen in its upper half. */
export const UNIQUE_RESENT = 0x8000_0000

export const ENOENT = 2
export const EIO = 5
export const EPERM = 1
export const EINVAL = 22
export const ENOSYS = 38
export const EPROTO = 71
export const EOPNOTSUPP = 95

const inHeader = defineLayout('fuse_in_header', {
  len: u32('length of the whole request'),
  opcode: u32('one of OP_'),
  uniqueLow: u32('name of the request, lower half'),
  uniqueHigh: u32('upper half; bit 31 = sent again'),
  node: u64big('1 = the directory, 2 = the file'),
  uid: u32('who asks'),
  gid: u32('who asks'),
  pid: u32('who asks'),
  reserved: u32('extension length since 7.38'),
})
const initIn = defineLayout('fuse_init_in', {
  major: u32('7'),
  minor: u32('of the kernel'),
  maxReadahead: u32('unused with direct I/O'),
  flags: u32('offered, bits 0-31'),
  flags2: u32('offered, bits 32-63'),
})
const setattrIn = defineLayout('fuse_setattr_in', {
  valid: u32('which attributes, SETATTR_'),
})
const readIn = defineLayout('fuse_read_in', {
  handle: u64big('of the open file'),
  offsetLow: u32('in the file'),
  offsetHigh: u32('in the file'),
  size: u32('wanted bytes'),
})
const writeIn = defineLayout('fuse_write_in', {
  handle: u64big('of the open file'),
  offsetLow: u32('in the file'),
  offsetHigh: u32('in the file'),
  size: u32('bytes of payload'),
  writeFlags: u32('unused'),
  lockOwner: u64big('unused'),
  flags: u32('open flags of the file'),
  padding: u32('not looked at'),
})
const fallocateIn = defineLayout('fuse_fallocate_in', {
  handle: u64big('of the open file'),
  offsetLow: u32('in the file'),
  offsetHigh: u32('in the file'),
  lengthLow: u32('bytes'),
  lengthHigh: u32('bytes'),
  mode: u32('as fallocate(2)'),
})

export const IN_HEADER_BYTES = inHeader.size
export const INIT_IN_BYTES_MIN = 16
export const IN_OPCODE = inHeader.offsets.opcode
export const IN_UNIQUE_LOW = inHeader.offsets.uniqueLow
export const IN_UNIQUE_HIGH = inHeader.offsets.uniqueHigh
export const IN_NODE_LOW = inHeader.offsets.node
export const INIT_IN_MAJOR = IN_HEADER_BYTES + initIn.offsets.major
export const INIT_IN_MINOR = IN_HEADER_BYTES + initIn.offsets.minor
export const INIT_IN_FLAGS = IN_HEADER_BYTES + initIn.offsets.flags
export const INIT_IN_FLAGS2 = IN_HEADER_BYTES + initIn.offsets.flags2
export const SETATTR_IN_VALID = IN_HEADER_BYTES + setattrIn.offsets.valid
export const READ_OFFSET_LOW = IN_HEADER_BYTES + readIn.offsets.offsetLow
export const READ_OFFSET_HIGH = IN_HEADER_BYTES + readIn.offsets.offsetHigh
export const READ_SIZE = IN_HEADER_BYTES + readIn.offsets.size
export const READ_REQUEST_BYTES_MIN = IN_HEADER_BYTES + readIn.size
export const WRITE_OFFSET_LOW = IN_HEADER_BYTES + writeIn.offsets.offsetLow
export const WRITE_OFFSET_HIGH = IN_HEADER_BYTES + writeIn.offsets.offsetHigh
export const WRITE_SIZE = IN_HEADER_BYTES + writeIn.offsets.size
export const WRITE_OPEN_FLAGS = IN_HEADER_BYTES + writeIn.offsets.flags
/** Where the payload of a WRITE begins. */
export const WRITE_PAYLOAD = IN_HEADER_BYTES + writeIn.size
export const FALLOCATE_OFFSET_LOW = IN_HEADER_BYTES + fallocateIn.offsets.offsetLow
export const FALLOCATE_OFFSET_HIGH = IN_HEADER_BYTES + fallocateIn.offsets.offsetHigh
export const FALLOCATE_LENGTH_LOW = IN_HEADER_BYTES + fallocateIn.offsets.lengthLow
export const FALLOCATE_LENGTH_HIGH = IN_HEADER_BYTES + fallocateIn.offsets.lengthHigh
export const FALLOCATE_MODE = IN_HEADER_BYTES + fallocateIn.offsets.mode
export const FALLOCATE_REQUEST_BYTES_MIN = IN_HEADER_BYTES + fallocateIn.size

/** fuse_out_header; hot path writes it by these offsets. */
export const OUT_HEADER_BYTES = 16
export const OUT_LEN = 0
export const OUT_ERROR = 4
export const OUT_UNIQUE_LOW = 8
export const OUT_UNIQUE_HIGH = 12
/** fuse_write_out: size u32, padding u32. */
export const WRITE_OUT_BYTES = 8

export const initOut = defineLayout('fuse_init_out', {
  major: u32('7'),
  minor: u32('the smaller of both'),
  maxReadahead: u32('0'),
  flags: u32('taken, bits 0-31'),
  maxBackground: u16('asynchronous requests in flight'),
  congestionThreshold: u16('three quarters of it'),
  maxWrite: u32('longest payload'),
  timeGranularity: u32('1 ns'),
  maxPages: u16('pages per request'),
  mapAlignment: u16('0'),
  flags2: u32('taken, bits 32-63'),
  unused: zeros(28),
})

const attributes = {
  node: u64('inode number'),
  size: u64('bytes'),
  blocks: u64('512-byte blocks'),
  times: bytes(36, 'atime, mtime, ctime: seconds u64 each, then nanoseconds u32 each'),
  mode: u32('type and permissions'),
  links: u32('1'),
  uid: u32('0'),
  gid: u32('0'),
  device: u32('0'),
  blockBytes: u32('preferred transfer'),
  attributeFlags: u32('0'),
} as const

export const attrOut = defineLayout('fuse_attr_out', {
  validSeconds: u64('how long the kernel may believe it'),
  validNanoseconds: u32('0'),
  padding: zeros(4),
  ...attributes,
})
export const entryOut = defineLayout('fuse_entry_out', {
  nodeId: u64('1 or 2'),
  generation: u64('1'),
  entryValidSeconds: u64('how long the kernel may believe the name'),
  validSeconds: u64('how long it may believe the attributes'),
  entryValidNanoseconds: u32('0'),
  validNanoseconds: u32('0'),
  ...attributes,
})
export const openOut = defineLayout('fuse_open_out', {
  handle: u64('not used'),
  openFlags: u32('OPEN_'),
  padding: zeros(4),
})
export const statfsOut = defineLayout('fuse_statfs_out', {
  blocks: u64('in fragments'),
  blocksFree: u64('0'),
  blocksAvailable: u64('0'),
  files: u64('1'),
  filesFree: u64('0'),
  blockBytes: u32('loop takes its discard granularity from it'),
  nameBytesMax: u32('255'),
  fragmentBytes: u32('unit of blocks'),
  padding: zeros(28),
})
export const invalidateInodeOut = defineLayout('fuse_notify_inval_inode_out', {
  node: u64('inode number'),
  offset: u64big('negative: attributes only'),
  length: u64big('0'),
})
export const retrieveOut = defineLayout('fuse_notify_retrieve_out', {
  unique: u64('comes back with OP_NOTIFY_REPLY'),
  node: u64('inode number'),
  offset: u64('in the page cache'),
  size: u32('wanted bytes'),
  padding: zeros(4),
})
