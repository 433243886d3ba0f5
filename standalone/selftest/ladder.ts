/** One message between the fleet and one of the two peers. */
export interface Arrow {
  /** Milliseconds since the beginning of the call. */
  readonly at: number
  readonly side: 'left' | 'right'
  readonly to: 'fleet' | 'peer'
  readonly label: string
}

export interface Column {
  readonly title: string
  /** Second line of the head, as `127.0.0.1:5060`. */
  readonly detail: string
}

export interface Ladder {
  readonly left: Column
  readonly fleet: Column
  readonly right: Column
  readonly arrows: readonly Arrow[]
}

/** Both legs of a call as lines of text: peer, fleet and peer from left to right, time from top to bottom. */
export function renderLadder({ left, fleet, right, arrows }: Ladder): string[] {
  const columns = [left, fleet, right]
  const longest = Math.max(
    ...arrows.map(({ label }) => label.length + 6),
    ...columns.flatMap(({ title, detail }) => [title.length + 2, detail.length + 2]),
  )
  const width = Math.max(24, longest)
  const margin = Math.max(...arrows.map(({ at }) => formatTime(at).length), 0) + 1
  const head = (texts: string[]) =>
    (' '.repeat(margin) + texts.map((text) => text.padEnd(width + 1)).join('')).trimEnd()
  const idle = ' '.repeat(width)
  return [
    head(columns.map(({ title }) => title)),
    head(columns.map(({ detail }) => detail)),
    ...arrows.map((arrow) => {
      const drawn = drawArrow(arrow, width)
      const [onLeft, onRight] = arrow.side === 'left' ? [drawn, idle] : [idle, drawn]
      return `${formatTime(arrow.at).padStart(margin - 1)} │${onLeft}│${onRight}│`
    }),
  ]
}

function drawArrow({ side, to, label }: Arrow, width: number): string {
  const rightwards = (side === 'left') === (to === 'fleet')
  const line = '─'.repeat(width - label.length - 4)
  return rightwards ? `─ ${label} ${line}►` : `◄${line} ${label} ─`
}

function formatTime(milliseconds: number): string {
  return `${Math.round(milliseconds)} ms`
}
