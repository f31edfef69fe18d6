// The NBD protocol as far as one export needs it: numbers of doc/proto.md of github.com/NetworkBlockDevice/nbd. Everything
// on the wire is big-endian. The hot path reads and writes fields at the offset constants.

/** "NBDMAGIC" and "IHAVEOPT", as two 32-bit halves each. */
export const GREETING_MAGIC_HIGH = 0x4e42444d
export const GREETING_MAGIC_LOW = 0x41474943
export const OPTION_MAGIC_HIGH = 0x49484156
export const OPTION_MAGIC_LOW = 0x454f5054
export const GREETING_BYTES = 18

export const HANDSHAKE_FIXED_NEWSTYLE = 1
export const HANDSHAKE_NO_ZEROES = 2
export const CLIENT_FLAGS_BYTES = 4

// Option request: magic 8, option 4, length 4, data.
export const OPTION_HEADER_BYTES = 16
export const OPTION_NUMBER = 8
export const OPTION_LENGTH = 12

export const OPT_EXPORT_NAME = 1
export const OPT_ABORT = 2
export const OPT_LIST = 3
export const OPT_STARTTLS = 5
export const OPT_INFO = 6
export const OPT_GO = 7
export const OPT_STRUCTURED_REPLY = 8
export const OPT_LIST_META_CONTEXT = 9
export const OPT_SET_META_CONTEXT = 10

// Option reply: magic 8, option 4, type 4, length 4, data.
export const OPTION_REPLY_MAGIC_HIGH = 0x0003e889
export const OPTION_REPLY_MAGIC_LOW = 0x045565a9
export const OPTION_REPLY_HEADER_BYTES = 20

export const REP_ACK = 1
export const REP_SERVER = 2
export const REP_INFO = 3
export const REP_META_CONTEXT = 4
export const REP_ERR_UNSUP = 0x8000_0001
export const REP_ERR_POLICY = 0x8000_0002
export const REP_ERR_INVALID = 0x8000_0003
export const REP_ERR_UNKNOWN = 0x8000_0006

export const INFO_EXPORT = 0
export const INFO_NAME = 1
export const INFO_BLOCK_SIZE = 3

/** Zeros behind the answer to EXPORT_NAME, unless both sides have agreed to leave them out. */
export const EXPORT_NAME_ZEROES_BYTES = 124

// Transmission flags.
export const FLAG_HAS_FLAGS = 1
export const FLAG_SEND_FLUSH = 1 << 2
export const FLAG_SEND_FUA = 1 << 3
export const FLAG_SEND_TRIM = 1 << 5
export const FLAG_SEND_WRITE_ZEROES = 1 << 6
export const FLAG_SEND_DF = 1 << 7
export const FLAG_CAN_MULTI_CONN = 1 << 8
export const FLAG_SEND_CACHE = 1 << 10
export const FLAG_SEND_FAST_ZERO = 1 << 11

export const ALLOCATION_CONTEXT = 'base:allocation'
/** Ours for it; the client treats it as opaque. */
export const ALLOCATION_CONTEXT_ID = 1

// Request: magic 4, flags 2, type 2, cookie 8, offset 8, length 4, payload.
export const REQUEST_MAGIC = 0x2560_9513
export const REQUEST_HEADER_BYTES = 28
export const REQUEST_FLAGS = 4
export const REQUEST_TYPE = 6
export const REQUEST_COOKIE_HIGH = 8
export const REQUEST_COOKIE_LOW = 12
export const REQUEST_OFFSET_HIGH = 16
export const REQUEST_OFFSET_LOW = 20
export const REQUEST_LENGTH = 24

export const CMD_READ = 0
export const CMD_WRITE = 1
export const CMD_DISC = 2
export const CMD_FLUSH = 3
export const CMD_TRIM = 4
export const CMD_CACHE = 5
export const CMD_WRITE_ZEROES = 6
export const CMD_BLOCK_STATUS = 7

export const CMD_FLAG_FUA = 1
export const CMD_FLAG_NO_HOLE = 2
export const CMD_FLAG_DF = 4
export const CMD_FLAG_REQ_ONE = 8
export const CMD_FLAG_FAST_ZERO = 16

// Simple reply: magic 4, error 4, cookie 8, data.
export const SIMPLE_REPLY_MAGIC = 0x6744_6698
export const SIMPLE_REPLY_BYTES = 16

// Chunk of a structured reply: magic 4, flags 2, type 2, cookie 8, length 4, payload.
export const CHUNK_MAGIC = 0x668e_33ef
export const CHUNK_HEADER_BYTES = 20
export const CHUNK_FLAG_DONE = 1
export const CHUNK_NONE = 0
export const CHUNK_OFFSET_DATA = 1
export const CHUNK_BLOCK_STATUS = 5
export const CHUNK_ERROR = 0x8001
/** Header of a chunk with data: the common one and the 64-bit offset. */
export const DATA_CHUNK_HEADER_BYTES = CHUNK_HEADER_BYTES + 8

// The errors that the protocol knows and that we send.
export const NBD_EIO = 5
export const NBD_EINVAL = 22
export const NBD_ENOSPC = 28
export const NBD_EOVERFLOW = 75
export const NBD_ENOTSUP = 95

/** What every client may send and expect at least, and what we advertise (proto.md, size constraints). */
export const PAYLOAD_BYTES_MAX = 32 * 1024 * 1024
export const PREFERRED_BLOCK_BYTES = 4096
/** Longest string of the protocol. */
export const STRING_BYTES_MAX = 4096
