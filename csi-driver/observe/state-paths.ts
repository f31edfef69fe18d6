// Names of what a volume keeps under --state-dir, apart from the register's own files (register/register-paths.ts).

/** `stateDirectory` is absolute and without a slash at its end. */
export function stateRunDirectory(stateDirectory: string): string {
  return `${stateDirectory}/run`
}

export function controlSocketPath(stateDirectory: string, volume: string): string {
  return `${stateRunDirectory(stateDirectory)}/${volume}.sock`
}

export function lastStatusPath(stateDirectory: string, volume: string): string {
  return `${stateRunDirectory(stateDirectory)}/${volume}.last.json`
}
