// Reads the data of options that have an inner structure. Pure; null for anything that does not add up.
import { STRING_BYTES_MAX } from './abi.ts'

export interface ExportRequest {
  readonly name: string
  /** Numbers of the pieces of information that the client asks for; unknown ones are to be ignored. */
  readonly infos: readonly number[]
}

/** Of INFO and GO: length of name 4, name, number of requests 2, requests of 2 bytes each. */
export function parseExportRequest(data: Buffer): ExportRequest | null {
  const name = readString(data, 0)
  if (name === null) return null
  if (name.end + 2 > data.length) return null
  const count = data.readUInt16BE(name.end)
  if (name.end + 2 + 2 * count !== data.length) return null
  const infos = Array.from({ length: count }, (_, i) => data.readUInt16BE(name.end + 2 + 2 * i))
  return { name: name.text, infos }
}

export interface MetaRequest {
  readonly name: string
  readonly queries: readonly string[]
}

/** Of LIST_META_CONTEXT and SET_META_CONTEXT: name as above, number of queries 4, queries as strings. */
export function parseMetaRequest(data: Buffer): MetaRequest | null {
  const name = readString(data, 0)
  if (name === null || name.end + 4 > data.length) return null
  const count = data.readUInt32BE(name.end)
  const queries: string[] = []
  let at = name.end + 4
  // Each query takes four bytes at least, so that a wrong count ends with the data.
  for (let i = 0; i < count; i++) {
    const query = readString(data, at)
    if (query === null) return null
    queries.push(query.text)
    at = query.end
  }
  return at === data.length ? { name: name.text, queries } : null
}

function readString(data: Buffer, at: number): { readonly text: string; readonly end: number } | null {
  if (at + 4 > data.length) return null
  const length = data.readUInt32BE(at)
  if (length > STRING_BYTES_MAX || at + 4 + length > data.length) return null
  return { text: data.toString('utf8', at + 4, at + 4 + length), end: at + 4 + length }
}
