/*
 * The floor: the least that a user-space block device behind FUSE and a loop device can cost on this machine. One file
 * in one directory, its content in memory, one thread that takes a request, copies, answers. No cache, no log, no
 * checksum; whatever a cache does more than this is its own.
 *
 *   floor DIRECTORY BYTES POLL-MICROSECONDS
 *
 * Mounts itself on DIRECTORY, prints "ready" and serves DIRECTORY/volume until the connection ends. With
 * POLL-MICROSECONDS above 0 it looks again and again for that long before it sleeps, as an engine with --busy-poll does.
 * Connection switches are those of csi-driver/frontend/fuse: ASYNC_DIO, no page cache, 512 requests in flight.
 * Protocol: include/uapi/linux/fuse.h.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define FILE_NAME "volume"
#define FILE_NODE 2
#define TRANSFER_BYTES_MAX (1u << 20)
/* The kernel demands room for the longest WRITE with its headers. */
#define BUFFER_BYTES (TRANSFER_BYTES_MAX + 8192)
#define VALID_SECONDS 3600

static int device;
static char *content;
static size_t content_bytes;

static void reply(const struct fuse_in_header *request, int error, const void *body, size_t body_bytes) {
  struct fuse_out_header header = {
      .len = (uint32_t)(sizeof header + body_bytes), .error = -error, .unique = request->unique};
  struct iovec parts[2] = {{&header, sizeof header}, {(void *)body, body_bytes}};
  /* A failure means that the request was aborted meanwhile, or that the connection is over: read(2) tells. */
  ssize_t ignored = writev(device, parts, body_bytes == 0 ? 1 : 2);
  (void)ignored;
}

static struct fuse_attr attributes_of(uint64_t node) {
  int is_file = node == FILE_NODE;
  struct fuse_attr attributes = {.ino = node,
                                 .size = is_file ? content_bytes : 0,
                                 .blocks = is_file ? content_bytes / 512 : 0,
                                 .mode = is_file ? 0100600 : 040755,
                                 .nlink = is_file ? 1 : 2,
                                 .blksize = 4096};
  return attributes;
}

static void answer_init(const struct fuse_in_header *request, const struct fuse_init_in *offer) {
  const uint32_t wanted = FUSE_ASYNC_READ | FUSE_BIG_WRITES | FUSE_ASYNC_DIO | FUSE_ABORT_ERROR | FUSE_MAX_PAGES;
  struct fuse_init_out answer = {.major = FUSE_KERNEL_VERSION,
                                 .minor = offer->minor < FUSE_KERNEL_MINOR_VERSION ? offer->minor
                                                                                   : FUSE_KERNEL_MINOR_VERSION,
                                 .flags = offer->flags & wanted,
                                 .max_background = 512,
                                 .congestion_threshold = 384,
                                 .max_write = TRANSFER_BYTES_MAX,
                                 .time_gran = 1,
                                 .max_pages = TRANSFER_BYTES_MAX / 4096};
  reply(request, 0, &answer, sizeof answer);
}

static void answer_lookup(const struct fuse_in_header *request, const char *name) {
  if (strcmp(name, FILE_NAME) != 0) {
    reply(request, ENOENT, NULL, 0);
    return;
  }
  struct fuse_entry_out answer = {.nodeid = FILE_NODE,
                                  .generation = 1,
                                  .entry_valid = VALID_SECONDS,
                                  .attr_valid = VALID_SECONDS,
                                  .attr = attributes_of(FILE_NODE)};
  reply(request, 0, &answer, sizeof answer);
}

static void answer_attributes(const struct fuse_in_header *request) {
  struct fuse_attr_out answer = {.attr_valid = VALID_SECONDS, .attr = attributes_of(request->nodeid)};
  reply(request, 0, &answer, sizeof answer);
}

static void answer_open(const struct fuse_in_header *request, uint32_t flags) {
  struct fuse_open_out answer = {.open_flags = flags};
  reply(request, 0, &answer, sizeof answer);
}

static void answer_statfs(const struct fuse_in_header *request) {
  struct fuse_statfs_out answer = {
      .st = {.blocks = content_bytes / 4096, .bsize = 4096, .frsize = 4096, .namelen = 255}};
  reply(request, 0, &answer, sizeof answer);
}

static int is_inside(uint64_t offset, uint32_t size) {
  return size <= content_bytes && offset <= content_bytes - size;
}

static void answer_read(const struct fuse_in_header *request, const struct fuse_read_in *in) {
  if (is_inside(in->offset, in->size)) reply(request, 0, content + in->offset, in->size);
  else reply(request, EIO, NULL, 0);
}

static void answer_write(const struct fuse_in_header *request, const struct fuse_write_in *in) {
  if (!is_inside(in->offset, in->size)) {
    reply(request, EIO, NULL, 0);
    return;
  }
  memcpy(content + in->offset, in + 1, in->size);
  struct fuse_write_out answer = {.size = in->size};
  reply(request, 0, &answer, sizeof answer);
}

static void serve(const struct fuse_in_header *request) {
  const void *body = request + 1;
  switch (request->opcode) {
  case FUSE_READ: answer_read(request, body); break;
  case FUSE_WRITE: answer_write(request, body); break;
  case FUSE_INIT: answer_init(request, body); break;
  case FUSE_LOOKUP: answer_lookup(request, body); break;
  case FUSE_GETATTR: answer_attributes(request); break;
  case FUSE_STATFS: answer_statfs(request); break;
  case FUSE_OPEN: answer_open(request, FOPEN_DIRECT_IO | FOPEN_PARALLEL_DIRECT_WRITES); break;
  case FUSE_OPENDIR: answer_open(request, 0); break;
  case FUSE_FLUSH:
  case FUSE_FSYNC:
  case FUSE_RELEASE:
  case FUSE_RELEASEDIR:
  case FUSE_ACCESS:
  case FUSE_DESTROY: reply(request, 0, NULL, 0); break;
  case FUSE_FORGET:
  case FUSE_BATCH_FORGET:
  case FUSE_INTERRUPT: break; /* These want no answer. */
  default: reply(request, ENOSYS, NULL, 0);
  }
}

static uint64_t now_nanoseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Nothing to read: looks again until the time is over, then sleeps in poll(2). */
static ssize_t read_after_polling(char *buffer, uint64_t poll_nanoseconds) {
  uint64_t end = now_nanoseconds() + poll_nanoseconds;
  for (;;) {
    ssize_t length = read(device, buffer, BUFFER_BYTES);
    if (length >= 0 || errno != EAGAIN) return length;
    if (now_nanoseconds() < end) continue;
    struct pollfd waiting = {.fd = device, .events = POLLIN};
    poll(&waiting, 1, -1);
  }
}

static int mount_on(const char *directory) {
  char options[128];
  snprintf(options, sizeof options, "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other", device);
  return mount("forebay-bench-floor", directory, "fuse", MS_NOSUID | MS_NODEV, options);
}

int main(int count, char **words) {
  if (count != 4) {
    fprintf(stderr, "usage: floor DIRECTORY BYTES POLL-MICROSECONDS\n");
    return 2;
  }
  uint64_t poll_nanoseconds = strtoull(words[3], NULL, 10) * 1000;
  content_bytes = strtoull(words[2], NULL, 10);
  content = mmap(NULL, content_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  char *buffer = aligned_alloc(4096, BUFFER_BYTES);
  device = open("/dev/fuse", O_RDWR | O_CLOEXEC | (poll_nanoseconds > 0 ? O_NONBLOCK : 0));
  if (content == MAP_FAILED || buffer == NULL || device < 0 || mount_on(words[1]) != 0) {
    perror("floor");
    return 1;
  }
  puts("ready");
  fflush(stdout);
  for (;;) {
    ssize_t length = poll_nanoseconds > 0 ? read_after_polling(buffer, poll_nanoseconds)
                                          : read(device, buffer, BUFFER_BYTES);
    /* ENOENT: the request was aborted while it was being read. */
    if (length < 0 && (errno == EINTR || errno == ENOENT || errno == EAGAIN)) continue;
    if (length < (ssize_t)sizeof(struct fuse_in_header)) return 0;
    serve((const struct fuse_in_header *)buffer);
  }
}
