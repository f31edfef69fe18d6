// Names of the file register: one directory per volume, one name per version (generation), never removed while the
// volume exists. docs/formats/register.md.

/** Digits of a generation in names: fixed, so that names sort like numbers. 2^53 has 16 digits. */
const GENERATION_DIGITS = 16

export interface RegisterPaths {
  /** Holds a directory for each volume. */
  readonly directory: string
  volumeDirectory(volume: string): string
  /** The file of version `rv` of a volume. */
  recordFile(volume: string, rv: number): string
  /** Says which host has the name of a node (node-name.ts). No volume's name begins with a dot. */
  hostFile(node: string): string
}

export function generationName(rv: number): string {
  return String(rv).padStart(GENERATION_DIGITS, '0')
}

/** `stateDirectory` is what --state-dir says, without a slash at its end. */
export function registerPathsOf(stateDirectory: string): RegisterPaths {
  return registerPathsIn(`${stateDirectory}/registers`)
}

/** `directory` is what --register says, without a slash at its end. */
export function registerPathsIn(directory: string): RegisterPaths {
  return {
    directory,
    volumeDirectory: (volume) => `${directory}/${volume}`,
    recordFile: (volume, rv) => `${directory}/${volume}/${volume}.${generationName(rv)}`,
    hostFile: (node) => `${directory}/.hosts/${node}`,
  }
}
