//! From typed operations to file edits: the repository as data, units, rendering, byte-exact edits, diffs, plans.
//!
//! Everything here is pure (text in, text out); git itself is `worktree`, the cluster is `cluster`/`reconcile`.

pub mod diff;
pub mod edit;
pub mod plan;
pub mod propose;
pub mod render;
pub mod source;
pub mod text_diff;
pub mod tree;
pub mod unit;
pub mod yaml;
