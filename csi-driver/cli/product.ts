// Where this build stands and what version it is.
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

/** Root directory of this build: the one that holds bin/forebay. */
export function productRoot(): string {
  return fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '')
}

export function productVersion(): string {
  const manifest: unknown = JSON.parse(readFileSync(path.join(productRoot(), 'package.json'), 'utf8'))
  const version = typeof manifest === 'object' && manifest !== null && 'version' in manifest ? manifest.version : null
  return typeof version === 'string' ? version : 'unknown'
}
