// A page of the documentation of which one part is made by a command: what stands between two marks is exchanged,
// everything else is left as people wrote it.

export interface Marks {
  /** Whole lines; each stands in the page once. */
  readonly begin: string
  readonly end: string
}

/** Throws where the page has no marks, or not in this order. */
export function withMarked(page: string, { begin, end }: Marks, text: string): string {
  const [from, to] = [page.indexOf(begin), page.indexOf(end)]
  if (from < 0 || to < from) throw new Error(`the page needs the lines ${begin} and ${end}, in this order`)
  return `${page.slice(0, from)}${begin}\n\n${text.trim()}\n\n${page.slice(to)}`
}
