// The name by which NBD clients find the export (doc/uri.md of github.com/NetworkBlockDevice/nbd).

/** `nbd+unix:///VOLUME?socket=/path`; what a URI cannot hold is escaped. `socketPath` is absolute. */
export function exportUri(volume: string, socketPath: string): string {
  return `nbd+unix:///${volume}?socket=${encodeURIComponent(socketPath).replaceAll('%2F', '/')}`
}
