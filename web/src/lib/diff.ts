// Unified diffs as rows a table can show, side by side or one below the other.

export interface Piece {
  text: string;
  /** Whether this piece is what differs from the other side. */
  changed: boolean;
}

export interface Side {
  /** Line number, from 1. */
  line: number;
  kind: "same" | "removed" | "added";
  pieces: Piece[];
}

/** One row: the same line on both sides, a pair of changed lines, or a line on one side only. */
export interface Row {
  left: Side | null;
  right: Side | null;
}

export interface Hunk {
  /** `@@ -1,7 +1,7 @@` and what follows it. */
  header: string;
  rows: Row[];
}

export interface DiffSize {
  added: number;
  removed: number;
}

/** Reads a unified diff of one file; lines that are not part of a hunk are skipped. */
export function parseDiff(diff: string): Hunk[] {
  const hunks: Hunk[] = [];
  let removed: Side[] = [];
  let added: Side[] = [];
  let left = 0;
  let right = 0;
  const flush = () => {
    const rows = hunks.at(-1)?.rows;
    for (let at = 0; at < Math.max(removed.length, added.length); at++) {
      rows?.push(pair(removed[at] ?? null, added[at] ?? null));
    }
    removed = [];
    added = [];
  };
  for (const line of diff.replace(/\n$/, "").split("\n")) {
    const header = /^@@ -(\d+)(?:,\d+)? \+(\d+)(?:,\d+)? @@/.exec(line);
    if (header) {
      flush();
      left = Number(header[1]);
      right = Number(header[2]);
      hunks.push({ header: line, rows: [] });
    } else if (hunks.length > 0) {
      const text = [{ text: line.slice(1).replace(/\r$/, ""), changed: false }];
      if (line.startsWith("-")) {
        if (added.length > 0) flush();
        removed.push({ line: left++, kind: "removed", pieces: text });
      } else if (line.startsWith("+")) {
        added.push({ line: right++, kind: "added", pieces: text });
      } else if (line.startsWith(" ") || line === "") {
        flush();
        hunks.at(-1)?.rows.push({
          left: { line: left++, kind: "same", pieces: text },
          right: { line: right++, kind: "same", pieces: text },
        });
      }
    }
  }
  flush();
  return hunks;
}

/** How many lines were added and removed. */
export function sizeOf(diff: string): DiffSize {
  const rows = parseDiff(diff).flatMap((hunk) => hunk.rows);
  return {
    added: rows.filter((row) => row.right?.kind === "added").length,
    removed: rows.filter((row) => row.left?.kind === "removed").length,
  };
}

/** Marks what differs between two lines that replace each other. */
function pair(left: Side | null, right: Side | null): Row {
  if (!left || !right) return { left, right };
  const a = left.pieces[0]?.text ?? "";
  const b = right.pieces[0]?.text ?? "";
  let start = 0;
  while (start < Math.min(a.length, b.length) && a[start] === b[start]) start++;
  let end = 0;
  while (end < Math.min(a.length, b.length) - start && a.at(-1 - end) === b.at(-1 - end)) end++;
  // lines with little in common are marked by their colour alone
  if (start + end < Math.max(a.length, b.length) / 3) return { left, right };
  return {
    left: { ...left, pieces: cut(a, start, end) },
    right: { ...right, pieces: cut(b, start, end) },
  };
}

function cut(text: string, start: number, end: number): Piece[] {
  const stop = text.length - end;
  return [
    { text: text.slice(0, start), changed: false },
    { text: text.slice(start, stop), changed: true },
    { text: text.slice(stop), changed: false },
  ].filter((piece) => piece.text !== "");
}
