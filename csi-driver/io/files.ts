// Small text files as a port: sysfs attributes, /proc, state files of a few hundred bytes. Cold path, hence promises;
// they run outside the engine's thread, which matters where a write to sysfs waits for I/O that we ourselves must
// answer first (freezing the queue of a loop device).

export interface SmallFiles {
  /** The text, or null where nothing is there or its process has just ended. Throws IoError otherwise. */
  read(path: string): Promise<string | null>
  /** Writes in place with one write(2), as sysfs attributes want it; never creates. Throws IoError. */
  write(path: string, text: string): Promise<void>
  /**
   * Writes a new file over `path` by rename; after it the new text survives a power cut. Calls for one path take turns.
   * Throws IoError.
   */
  replace(path: string, text: string): Promise<void>
  /** Names in a directory, unsorted; empty where there is no such directory. */
  list(path: string): Promise<readonly string[]>
  /** Target of a symbolic link; null where `path` is none, is gone, or may not be looked at. */
  readLink(path: string): Promise<string | null>
  /** Makes `path` a symbolic link to `target`, atomically, in place of a link that is there. */
  replaceLink(path: string, target: string): Promise<void>
  /** Makes a directory with its parents; one that exists is fine. */
  makeDirectory(path: string): Promise<void>
  /** Removes a file, link or empty directory; one that is gone is fine. Throws IoError. */
  remove(path: string): Promise<void>
}
