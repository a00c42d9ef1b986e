// Unified diffs as rows.
import { describe, expect, it } from "vitest";
import { parseDiff, sizeOf } from "../src/lib/diff";

const DIFF = `--- a/prod/api.yaml
+++ b/prod/api.yaml
@@ -4,4 +4,5 @@ spec:
 # keep this comment
-  replicas: 3
+  replicas: 15
   selector: {}
+  paused: false
`;

describe("diff", () => {
  it("pairs changed lines and marks what differs in them", () => {
    const [hunk] = parseDiff(DIFF);
    expect(hunk?.header).toBe("@@ -4,4 +4,5 @@ spec:");
    expect(hunk?.rows.map((row) => [row.left?.line ?? null, row.right?.line ?? null])).toEqual([
      [4, 4],
      [5, 5],
      [6, 6],
      [null, 7],
    ]);
    const changed = hunk?.rows[1];
    expect(changed?.left?.pieces.find((piece) => piece.changed)?.text).toBe("3");
    expect(changed?.right?.pieces.find((piece) => piece.changed)?.text).toBe("15");
    expect(changed?.right?.pieces.map((piece) => piece.text).join("")).toBe("  replicas: 15");
  });

  it("counts lines", () => {
    expect(sizeOf(DIFF)).toEqual({ added: 2, removed: 1 });
  });

  it("takes removed and added lines that look like headers", () => {
    const [hunk] = parseDiff("@@ -1,2 +1,1 @@\n---- a\n-- b\n+++ c\n");
    expect(hunk?.rows.map((row) => row.left?.pieces.map((p) => p.text).join(""))).toEqual(["--- a", "- b"]);
    expect(hunk?.rows[0]?.right?.pieces.map((p) => p.text).join("")).toBe("++ c");
  });

  it("knows several hunks, missing final newlines and nothing at all", () => {
    expect(parseDiff("@@ -1 +1 @@\n-a\n\\ No newline at end of file\n+b\n@@ -9 +9 @@\n c\n")).toHaveLength(2);
    expect(parseDiff("")).toEqual([]);
  });
});
