/*
 * The floor: the least that a FUSE server of one file can do. One thread, contents in memory, no log, no cache. What a
 * volume takes longer than this is its own doing; the rest is the kernel's.
 *
 *   floor MOUNTPOINT MIB POLL-MICROSECONDS
 *
 * Mounts itself, prints "mounted" and serves until the connection ends. The file is called "volume". The switches of
 * INIT are those that the engine negotiates (csi-driver/frontend/fuse/negotiate.ts).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { MAX_WRITE = 1 << 20, BUFFER = MAX_WRITE + 8192, FILE_NODE = 2, VALID_SECONDS = 3600 };

static int device;
static char *content;
static uint64_t content_bytes;

static void reply(const struct fuse_in_header *to, int error, const void *body, size_t length) {
  struct fuse_out_header head = {.len = sizeof head + length, .error = -error, .unique = to->unique};
  struct iovec parts[2] = {{&head, sizeof head}, {(void *)body, length}};
  if (writev(device, parts, length ? 2 : 1) < 0 && errno != ENOENT) exit(1);
}

static struct fuse_attr attributes(uint64_t node) {
  struct fuse_attr attr = {.ino = node, .nlink = 1, .blksize = 4096};
  attr.mode = node == FUSE_ROOT_ID ? 040755 : 0100600;
  attr.size = node == FUSE_ROOT_ID ? 0 : content_bytes;
  return attr;
}

static void on_init(const struct fuse_in_header *head, const struct fuse_init_in *in) {
  const uint32_t wanted = FUSE_ASYNC_READ | FUSE_BIG_WRITES | FUSE_ASYNC_DIO | FUSE_MAX_PAGES;
  struct fuse_init_out out = {.major = 7, .minor = in->minor < 36 ? in->minor : 36};
  out.flags = in->flags & wanted;
  out.max_readahead = in->max_readahead;
  out.max_background = 512;
  out.congestion_threshold = 512;
  out.max_write = MAX_WRITE;
  out.max_pages = MAX_WRITE / 4096;
  out.time_gran = 1;
  reply(head, 0, &out, sizeof out);
}

static void on_lookup(const struct fuse_in_header *head, const char *name) {
  if (strcmp(name, "volume") != 0) {
    reply(head, ENOENT, NULL, 0);
    return;
  }
  struct fuse_entry_out out = {.nodeid = FILE_NODE, .entry_valid = VALID_SECONDS, .attr_valid = VALID_SECONDS};
  out.attr = attributes(FILE_NODE);
  reply(head, 0, &out, sizeof out);
}

static void on_write(const struct fuse_in_header *head, const struct fuse_write_in *in) {
  struct fuse_write_out out = {.size = in->size};
  memcpy(content + in->offset, in + 1, in->size);
  reply(head, 0, &out, sizeof out);
}

static void handle(const struct fuse_in_header *head) {
  const void *body = head + 1;
  switch (head->opcode) {
  case FUSE_READ: {
    const struct fuse_read_in *in = body;
    uint64_t size = in->offset >= content_bytes ? 0 : in->size;
    if (in->offset + size > content_bytes) size = content_bytes - in->offset;
    reply(head, 0, content + in->offset, size);
    break;
  }
  case FUSE_WRITE:
    on_write(head, body);
    break;
  case FUSE_INIT:
    on_init(head, body);
    break;
  case FUSE_LOOKUP:
    on_lookup(head, body);
    break;
  case FUSE_GETATTR: {
    struct fuse_attr_out out = {.attr_valid = VALID_SECONDS, .attr = attributes(head->nodeid)};
    reply(head, 0, &out, sizeof out);
    break;
  }
  case FUSE_OPEN:
  case FUSE_OPENDIR: {
    struct fuse_open_out out = {.fh = 1};
    reply(head, 0, &out, sizeof out);
    break;
  }
  case FUSE_FSYNC:
  case FUSE_FLUSH:
  case FUSE_RELEASE:
  case FUSE_RELEASEDIR:
  case FUSE_DESTROY:
    reply(head, 0, NULL, 0);
    break;
  case FUSE_FORGET:
  case FUSE_BATCH_FORGET:
    break;
  default:
    reply(head, ENOSYS, NULL, 0);
  }
}

static double now_micros(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1e6 + now.tv_nsec / 1e3;
}

/* With polling the descriptor does not block; it is waited for only when a while of looking has brought nothing. */
static void serve(double poll_micros) {
  char *buffer = aligned_alloc(4096, BUFFER);
  double idle_since = now_micros();
  for (;;) {
    ssize_t length = read(device, buffer, BUFFER);
    if (length > 0) {
      handle((const struct fuse_in_header *)buffer);
      if (poll_micros > 0) idle_since = now_micros();
    } else if (errno == EAGAIN) {
      if (now_micros() - idle_since < poll_micros) continue;
      struct pollfd wait = {.fd = device, .events = POLLIN};
      poll(&wait, 1, -1);
      idle_since = now_micros();
    } else if (errno != EINTR && errno != ENOENT) {
      return;
    }
  }
}

int main(int count, char **words) {
  if (count != 4) return 2;
  double poll_micros = atof(words[3]);
  content_bytes = strtoull(words[2], NULL, 10) << 20;
  content = mmap(NULL, content_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  device = open("/dev/fuse", O_RDWR | (poll_micros > 0 ? O_NONBLOCK : 0));
  if (content == MAP_FAILED || device < 0) {
    perror("floor");
    return 1;
  }
  char options[160];
  snprintf(options, sizeof options, "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other", device);
  if (mount("forebay-floor", words[1], "fuse", 0, options) != 0) {
    perror("floor: mount");
    return 1;
  }
  puts("mounted");
  fflush(stdout);
  serve(poll_micros);
  return 0;
}
