//! Unified text diffs, bounded: a huge file must not hold up a plan or fill a review.

use std::fmt::Write;

use similar::TextDiff;

/// Lines of context around a change.
const CONTEXT: usize = 3;
/// Differing lines beyond which the two sides are shown as one replacement instead of being compared line by line.
const COMPARED: usize = 20_000;
/// Bytes of one diff; what is beyond is left out, and said so.
const SHOWN: usize = 512 * 1024;

/// The unified diff of one file; `None` is a file that does not exist. Empty when nothing differs. The same input always
/// gives the same text: plan hashes depend on it.
#[must_use]
pub fn unified(path: &str, before: Option<&str>, after: Option<&str>) -> String {
    if before == after {
        return String::new();
    }
    let name = |side: &str, text: Option<&str>| {
        text.map_or_else(|| "/dev/null".to_owned(), |_| format!("{side}/{path}"))
    };
    let (from, to) = (name("a", before), name("b", after));
    let hunks = hunks(before.unwrap_or_default(), after.unwrap_or_default());
    format!("--- {from}\n+++ {to}\n{hunks}")
}

/// The hunks of a unified diff, without file header; empty when nothing differs.
#[must_use]
pub fn hunks(old: &str, new: &str) -> String {
    let middle = Middle::of(old, new);
    let hunks = if middle.old + middle.new > COMPARED {
        middle.replace(old, new)
    } else {
        TextDiff::from_lines(old, new).unified_diff().context_radius(CONTEXT).to_string()
    };
    clip(hunks)
}

/// What is left of two texts between their common first and last lines.
struct Middle {
    head: usize,
    old: usize,
    new: usize,
}

impl Middle {
    fn of(old: &str, new: &str) -> Self {
        let (a, b): (Vec<&str>, Vec<&str>) = (lines(old), lines(new));
        let head = a.iter().zip(&b).take_while(|(a, b)| a == b).count();
        let tail = a[head..].iter().rev().zip(b[head..].iter().rev()).take_while(|(a, b)| a == b);
        let tail = tail.count();
        Self { head, old: a.len() - head - tail, new: b.len() - head - tail }
    }

    /// One hunk that takes all of the old and gives all of the new.
    fn replace(&self, old: &str, new: &str) -> String {
        let mut out = String::new();
        let (a, b) = (lines(old), lines(new));
        let first = self.head.saturating_sub(CONTEXT);
        let before = self.head - first;
        let after = (a.len() - self.head - self.old).min(CONTEXT);
        let (removed, added) = (before + self.old + after, before + self.new + after);
        let _ = writeln!(out, "@@ -{},{removed} +{},{added} @@", first + 1, first + 1);
        let mut put = |sign: char, lines: &[&str]| {
            for line in lines {
                let end =
                    if line.ends_with('\n') { "" } else { "\n\\ No newline at end of file\n" };
                let _ = write!(out, "{sign}{line}{end}");
            }
        };
        put(' ', &a[first..self.head]);
        put('-', &a[self.head..self.head + self.old]);
        put('+', &b[self.head..self.head + self.new]);
        put(' ', &a[self.head + self.old..self.head + self.old + after]);
        out
    }
}

fn lines(text: &str) -> Vec<&str> {
    text.split_inclusive('\n').collect()
}

fn clip(mut diff: String) -> String {
    if diff.len() <= SHOWN {
        return diff;
    }
    let end = diff[..diff.floor_char_boundary(SHOWN)].rfind('\n').map_or(0, |at| at + 1);
    let left_out = diff[end..].lines().count();
    diff.truncate(end);
    let _ = writeln!(diff, "... {left_out} more lines left out");
    diff
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_changed_lines_and_their_context_are_shown() {
        let old = "a\nb\nc\nd\ne\nf\n";
        let diff = unified("x.yaml", Some(old), Some("a\nb\nc\nd\nE\nf"));
        assert_eq!(
            diff,
            "--- a/x.yaml\n+++ b/x.yaml\n@@ -2,5 +2,5 @@\n b\n c\n d\n-e\n-f\n+E\n+f\n\\ No newline at end of file\n"
        );
        assert_eq!(unified("x", Some("a"), Some("a")), "");
        assert!(unified("x", None, Some("a\n")).starts_with("--- /dev/null\n+++ b/x\n@@ -0,0 +1"));
    }

    #[test]
    fn huge_changes_are_replaced_whole_and_clipped() {
        let old: String = (0..30_000).map(|n| format!("old line number {n}\n")).collect();
        let new: String = (0..30_000).map(|n| format!("new line number {n}\n")).collect();
        let diff = unified("x", Some(&format!("same\n{old}")), Some(&format!("same\n{new}")));
        assert!(
            diff.starts_with(
                "--- a/x\n+++ b/x\n@@ -1,30001 +1,30001 @@\n same\n-old line number 0\n"
            )
        );
        assert!(diff.len() <= SHOWN + 100 && diff.ends_with("more lines left out\n"));
    }
}
