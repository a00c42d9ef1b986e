//! Going through history: log, three-way merge, and the edits that bring an earlier state back.

use git2::{ErrorCode, Oid, Sort};

use super::{
    Author, MAIN, Repository, WorktreeError, branch_ref, diff_trees, find_commit, read_tree,
    signature, write_ref,
};
use crate::gitops::tree::{FileChange, Tree};

/// One commit of the main line.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct LogEntry {
    /// Commit hash.
    pub revision: String,
    /// Its first parent; `None` for the first commit.
    pub parent: Option<String>,
    /// Who wrote it.
    pub author: String,
    /// When it was committed.
    pub at: jiff::Timestamp,
    /// First line of the message.
    pub subject: String,
    /// `Key: value` lines at the message's end, in order.
    pub trailers: Vec<(String, String)>,
}

/// A merge of a review branch into the main branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewMerge {
    /// The reviewed commit.
    pub head: String,
    /// Author of the merge commit; the committer is kubemate.
    pub author: Author,
    /// Whole message.
    pub message: String,
}

impl Repository {
    /// Commits of the main line (first parents) from `from` backwards, newest first, that touched one of `paths` (files or
    /// folders; every commit when empty), at most `limit` (0 is no limit).
    ///
    /// # Errors
    /// When `from` is not in the repository.
    pub fn log(
        &self,
        from: &str,
        paths: &[&str],
        limit: usize,
    ) -> Result<Vec<LogEntry>, WorktreeError> {
        let git = self.git()?;
        let mut walk = git.revwalk()?;
        walk.push(find_commit(&git, from)?.id())?;
        walk.simplify_first_parent()?;
        walk.set_sorting(Sort::TOPOLOGICAL)?;
        let mut entries = Vec::new();
        for id in walk {
            let commit = git.find_commit(id?)?;
            if paths.is_empty() || touches(&commit, paths)? {
                entries.push(entry(&commit));
                if entries.len() == limit {
                    break;
                }
            }
        }
        Ok(entries)
    }

    /// The files `head` would have after being merged into `main`, without writing anything.
    ///
    /// # Errors
    /// [`WorktreeError::Conflicts`] when both changed the same lines.
    pub fn merged_tree(&self, main: &str, head: &str) -> Result<Tree, WorktreeError> {
        let git = self.git()?;
        let (ours, theirs) = (find_commit(&git, main)?, find_commit(&git, head)?);
        let tree = merge_commits(&git, &ours, &theirs)?;
        read_tree(&git, &git.find_tree(tree)?, "")
    }

    /// Merges a review branch into the main branch by a merge commit and returns that. When `head` was merged before, the
    /// merge commit of then is returned.
    ///
    /// # Errors
    /// [`WorktreeError::Conflicts`]; [`WorktreeError::Moved`] when the main branch moved meanwhile (try again).
    pub fn merge(&self, merge: &NewMerge) -> Result<String, WorktreeError> {
        if let Some(done) = self.merge_of(&merge.head)? {
            return Ok(done);
        }
        let main = self.head(MAIN)?.ok_or_else(|| WorktreeError::NotFound(MAIN.to_owned()))?;
        let git = self.git()?;
        let (ours, theirs) = (find_commit(&git, &main)?, find_commit(&git, &merge.head)?);
        let tree = merge_commits(&git, &ours, &theirs)?;
        let id = git.commit(
            None,
            &signature(&merge.author)?,
            &signature(&Author::kubemate())?,
            &merge.message,
            &git.find_tree(tree)?,
            &[&ours, &theirs],
        )?;
        let name = branch_ref(MAIN);
        let pointed = write_ref(&git, &name, || {
            git.reference_matching(&name, id, true, ours.id(), "kubemate: merge")
        });
        match pointed {
            Ok(_) => Ok(id.to_string()),
            Err(error) if error.code() == ErrorCode::Modified => {
                Err(WorktreeError::Moved(MAIN.to_owned()))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The commit of the main line that brought `head` in; `None` when it is not merged.
    ///
    /// # Errors
    /// When the repository cannot be read.
    pub fn merge_of(&self, head: &str) -> Result<Option<String>, WorktreeError> {
        let git = self.git()?;
        let Some(main) = self.head(MAIN)? else { return Ok(None) };
        let (main, head) = (Oid::from_str(&main)?, find_commit(&git, head)?.id());
        if main != head && !git.graph_descendant_of(main, head)? {
            return Ok(None);
        }
        // the oldest commit of the main line that still contains it
        let mut walk = git.revwalk()?;
        walk.push(main)?;
        walk.simplify_first_parent()?;
        let mut found = main;
        for id in walk {
            let id = id?;
            if id != head && !git.graph_descendant_of(id, head)? {
                break;
            }
            found = id;
        }
        Ok(Some(found.to_string()))
    }

    /// The edits on `onto` that take back what lies between `from` (older) and `to` (newer), keeping everything else.
    ///
    /// # Errors
    /// [`WorktreeError::Conflicts`] when later commits changed the same lines.
    pub fn take_back(
        &self,
        from: &str,
        to: &str,
        onto: &str,
    ) -> Result<Vec<FileChange>, WorktreeError> {
        let git = self.git()?;
        let tree = |revision: &str| -> Result<git2::Tree<'_>, WorktreeError> {
            Ok(find_commit(&git, revision)?.tree()?)
        };
        let (wanted, ancestor, ours) = (tree(from)?, tree(to)?, tree(onto)?);
        let mut index = git.merge_trees(&ancestor, &ours, &wanted, None)?;
        let merged = written(&git, &mut index)?;
        diff_trees(&git, &ours, &git.find_tree(merged)?)
    }

    /// The commit before a commit of the main line.
    ///
    /// # Errors
    /// [`WorktreeError::NotFound`] for the first commit.
    pub fn parent(&self, revision: &str) -> Result<String, WorktreeError> {
        let git = self.git()?;
        let commit = find_commit(&git, revision)?;
        let parent = commit
            .parent_id(0)
            .map_err(|_| WorktreeError::NotFound(format!("a commit before {revision}")))?;
        Ok(parent.to_string())
    }
}

fn merge_commits(
    git: &git2::Repository,
    ours: &git2::Commit<'_>,
    theirs: &git2::Commit<'_>,
) -> Result<Oid, WorktreeError> {
    let mut index = git.merge_commits(ours, theirs, None)?;
    written(git, &mut index)
}

fn written(git: &git2::Repository, index: &mut git2::Index) -> Result<Oid, WorktreeError> {
    if !index.has_conflicts() {
        return Ok(index.write_tree_to(git)?);
    }
    let mut paths = Vec::new();
    for conflict in index.conflicts()? {
        let conflict = conflict?;
        let side = conflict.our.or(conflict.their).or(conflict.ancestor);
        paths.extend(side.map(|entry| String::from_utf8_lossy(&entry.path).into_owned()));
    }
    paths.dedup();
    Err(WorktreeError::Conflicts(paths))
}

/// Whether a commit differs from its first parent below one of `paths`.
fn touches(commit: &git2::Commit<'_>, paths: &[&str]) -> Result<bool, WorktreeError> {
    let tree = commit.tree()?;
    let before = commit.parent(0).ok().map(|parent| parent.tree()).transpose()?;
    let id = |tree: &git2::Tree<'_>, path: &str| {
        tree.get_path(std::path::Path::new(path)).ok().map(|entry| entry.id())
    };
    Ok(paths
        .iter()
        .any(|path| id(&tree, path) != before.as_ref().and_then(|before| id(before, path))))
}

fn entry(commit: &git2::Commit<'_>) -> LogEntry {
    let message = String::from_utf8_lossy(commit.message_bytes()).into_owned();
    LogEntry {
        revision: commit.id().to_string(),
        parent: commit.parent_id(0).ok().map(|id| id.to_string()),
        author: String::from_utf8_lossy(commit.author().name_bytes()).into_owned(),
        at: jiff::Timestamp::from_second(commit.time().seconds()).unwrap_or_default(),
        subject: message.lines().next().unwrap_or_default().to_owned(),
        trailers: trailers(&message),
    }
}

/// The `Key: value` lines of the last paragraph.
fn trailers(message: &str) -> Vec<(String, String)> {
    let last = message.trim_end().rsplit("\n\n").next().unwrap_or_default();
    let lines = last.lines().map(|line| line.split_once(": "));
    let pairs: Option<Vec<_>> =
        lines.map(|pair| pair.filter(|(key, _)| !key.contains(' '))).collect();
    pairs
        .unwrap_or_default()
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}
