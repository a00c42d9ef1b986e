//! Git: one bare repository with a main branch and review branches, read and written as data (no files are checked out).
//!
//! Everything here is synchronous and short; callers on async threads use `spawn_blocking`. History is only ever appended
//! to: the main branch moves forward by compare-and-swap, and undoing is a new commit.

pub mod history;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use git2::{Delta, ErrorCode, FileMode, ObjectType, Oid, Signature};

use crate::gitops::tree::{FileChange, Tree};

/// The branch the reconciler applies.
pub const MAIN: &str = "main";
/// Age at which a lock of a reference was left behind: git holds one for the time of a rename.
const LEFT_BEHIND: Duration = Duration::from_secs(2);
/// How often a locked reference is tried again.
const LOCK_ATTEMPTS: usize = 4;

/// A bare git repository on this machine. Cheap to clone; opened anew for each use, so that pushes by others are seen.
#[derive(Debug, Clone)]
pub struct Repository {
    path: PathBuf,
}

/// Who wrote a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Author {
    /// Login name.
    pub name: String,
    /// Address; made up from the name where operators have none.
    pub email: String,
}

impl Author {
    /// An operator known by login name only.
    #[must_use]
    pub fn operator(name: &str) -> Self {
        let local: String =
            name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        Self { name: name.to_owned(), email: format!("{local}@operators.kubemate.invalid") }
    }

    /// kubemate itself.
    #[must_use]
    pub fn kubemate() -> Self {
        Self { name: "kubemate".to_owned(), email: "kubemate@kubemate.invalid".to_owned() }
    }
}

/// A commit to be written on a review branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewCommit {
    /// Branch that is set to the new commit.
    pub branch: String,
    /// The only parent.
    pub parent: String,
    /// What differs from the parent.
    pub files: Vec<FileChange>,
    /// Author; the committer is kubemate.
    pub author: Author,
    /// Whole message.
    pub message: String,
}

/// Why git did not do it.
#[derive(Debug, thiserror::Error)]
pub enum WorktreeError {
    /// No such branch, commit or path.
    #[error("{0} is not in the repository")]
    NotFound(String),
    /// The same lines were changed on both sides.
    #[error("{} was changed on both sides; undo or change it by hand", .0.join(", "))]
    Conflicts(Vec<String>),
    /// A branch is no longer where it was read; read again.
    #[error("branch {0} moved in between")]
    Moved(String),
    /// A file that would have to be changed is not UTF-8 text.
    #[error("{0} is not a UTF-8 text file")]
    NotText(String),
    /// The file is not what the change was made on.
    #[error("{0} is not what the change was made on")]
    Outdated(String),
    /// Anything else.
    #[error("git: {0}")]
    Git(#[from] git2::Error),
    /// Reading the folder to be imported.
    #[error("reading {0}: {1}")]
    Io(PathBuf, std::io::Error),
}

impl Repository {
    /// Opens the bare repository at `path`, creating an empty one where there is none.
    ///
    /// # Errors
    /// When something else is at `path`.
    pub fn open_or_init(path: &Path) -> Result<Self, WorktreeError> {
        match git2::Repository::open_bare(path) {
            Ok(_) => {}
            Err(error) if error.code() == ErrorCode::NotFound => {
                let mut options = git2::RepositoryInitOptions::new();
                options.bare(true).mkpath(true).initial_head(MAIN);
                git2::Repository::init_opts(path, &options)?;
            }
            Err(error) => return Err(error.into()),
        }
        Ok(Self { path: path.to_owned() })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn git(&self) -> Result<git2::Repository, WorktreeError> {
        Ok(git2::Repository::open_bare(&self.path)?)
    }

    /// The commit at the head of `branch`; `None` when there is no such branch.
    ///
    /// # Errors
    /// When the repository cannot be read.
    pub fn head(&self, branch: &str) -> Result<Option<String>, WorktreeError> {
        match self.git()?.find_reference(&branch_ref(branch)) {
            Ok(reference) => Ok(reference.target().map(|id| id.to_string())),
            Err(error) if error.code() == ErrorCode::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Makes the files of `folder` the first commit of the main branch; returns it. A repository that has a main branch
    /// already is left alone and its head returned.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn import(
        &self,
        folder: &Path,
        message: &str,
        author: &Author,
    ) -> Result<String, WorktreeError> {
        if let Some(head) = self.head(MAIN)? {
            return Ok(head);
        }
        let git = self.git()?;
        let mut update = git2::build::TreeUpdateBuilder::new();
        let mut folders = vec![folder.to_owned()];
        while let Some(current) = folders.pop() {
            let io = |error| WorktreeError::Io(current.clone(), error);
            for entry in std::fs::read_dir(&current).map_err(io)? {
                let entry = entry.map_err(io)?;
                let kind = entry.file_type().map_err(io)?;
                let path = entry.path();
                if kind.is_dir() && entry.file_name() != ".git" {
                    folders.push(path);
                } else if kind.is_file() {
                    let bytes =
                        std::fs::read(&path).map_err(|e| WorktreeError::Io(path.clone(), e))?;
                    let name = path.strip_prefix(folder).unwrap_or(&path);
                    update.upsert(name, git.blob(&bytes)?, FileMode::Blob);
                }
            }
        }
        let empty = git.find_tree(git.treebuilder(None)?.write()?)?;
        let tree = git.find_tree(update.create_updated(&git, &empty)?)?;
        let author = signature(author)?;
        let committer = signature(&Author::kubemate())?;
        let commit =
            git.commit(Some(&branch_ref(MAIN)), &author, &committer, message, &tree, &[])?;
        Ok(commit.to_string())
    }

    /// Every regular file of a commit.
    ///
    /// # Errors
    /// When the commit is not in the repository.
    pub fn tree(&self, revision: &str) -> Result<Tree, WorktreeError> {
        let git = self.git()?;
        let commit = find_commit(&git, revision)?;
        read_tree(&git, &commit.tree()?, revision)
    }

    /// Writes a commit and points its branch at it, wherever the branch was; returns the commit.
    ///
    /// # Errors
    /// [`WorktreeError::Outdated`] when a file's `before` is not what the parent has.
    pub fn commit(&self, commit: &NewCommit) -> Result<String, WorktreeError> {
        let git = self.git()?;
        let parent = find_commit(&git, &commit.parent)?;
        let tree = updated(&git, &parent.tree()?, &commit.files)?;
        let id = git.commit(
            None,
            &signature(&commit.author)?,
            &signature(&Author::kubemate())?,
            &commit.message,
            &git.find_tree(tree)?,
            &[&parent],
        )?;
        let name = branch_ref(&commit.branch);
        write_ref(&git, &name, || git.reference(&name, id, true, "kubemate: propose"))?;
        Ok(id.to_string())
    }

    /// Deletes `branch` if it still points at `head`; a branch that is gone already is fine.
    ///
    /// # Errors
    /// [`WorktreeError::Moved`] when it points elsewhere.
    pub fn delete_branch(&self, branch: &str, head: &str) -> Result<(), WorktreeError> {
        match self.head(branch)? {
            None => Ok(()),
            Some(found) if found == head => {
                let (git, name) = (self.git()?, branch_ref(branch));
                Ok(write_ref(&git, &name, || git.find_reference(&name)?.delete())?)
            }
            Some(_) => Err(WorktreeError::Moved(branch.to_owned())),
        }
    }

    /// The files that differ between two commits.
    ///
    /// # Errors
    /// [`WorktreeError::NotText`] when one of them is not text.
    pub fn diff(&self, from: &str, to: &str) -> Result<Vec<FileChange>, WorktreeError> {
        let git = self.git()?;
        let before = find_commit(&git, from)?.tree()?;
        let after = find_commit(&git, to)?.tree()?;
        diff_trees(&git, &before, &after)
    }
}

/// Does `write`, which changes the reference `name`. A process that is killed in the middle of that leaves git's lock behind,
/// which nobody would ever remove: a lock that is there for longer than any write takes is removed here.
pub(crate) fn write_ref<T>(
    git: &git2::Repository,
    name: &str,
    write: impl Fn() -> Result<T, git2::Error>,
) -> Result<T, git2::Error> {
    let locks = [format!("{name}.lock"), "packed-refs.lock".to_owned()];
    for _ in 0..LOCK_ATTEMPTS {
        match write() {
            Err(error) if error.code() == ErrorCode::Locked => {
                locks.iter().for_each(|lock| outlast(&git.path().join(lock)));
            }
            other => return other,
        }
    }
    write()
}

/// Waits until a lock is old enough to have been left behind, and removes one that is.
#[expect(clippy::disallowed_methods, reason = "git runs on threads where blocking is allowed")]
fn outlast(lock: &Path) {
    let modified = std::fs::metadata(lock).and_then(|about| about.modified());
    // one that is gone by now was released
    let Ok(modified) = modified else { return };
    match LEFT_BEHIND.checked_sub(modified.elapsed().unwrap_or_default()) {
        Some(rest) if !rest.is_zero() => std::thread::sleep(rest),
        _ => match std::fs::remove_file(lock) {
            Ok(()) => {
                tracing::warn!(lock = %lock.display(), "removed a lock that a killed process left behind")
            }
            // the next attempt says that it is still there
            Err(error) => tracing::warn!(lock = %lock.display(), %error, "removing a lock"),
        },
    }
}

fn branch_ref(branch: &str) -> String {
    format!("refs/heads/{branch}")
}

fn signature(author: &Author) -> Result<Signature<'static>, git2::Error> {
    // git forbids angle brackets and line breaks in names
    let clean = |text: &str| -> String {
        text.chars().filter(|c| !matches!(c, '<' | '>' | '\n' | '\r' | '\0')).collect()
    };
    Signature::now(&clean(&author.name), &clean(&author.email))
}

fn find_commit<'r>(
    git: &'r git2::Repository,
    revision: &str,
) -> Result<git2::Commit<'r>, WorktreeError> {
    let missing = || WorktreeError::NotFound(format!("commit {revision}"));
    let id = if revision.len() == 40 {
        Oid::from_str(revision).map_err(|_| missing())?
    } else {
        // people write short hashes
        git.find_commit_by_prefix(revision).map_err(|_| missing())?.id()
    };
    git.find_commit(id).map_err(|_| missing())
}

fn read_tree(
    git: &git2::Repository,
    tree: &git2::Tree<'_>,
    revision: &str,
) -> Result<Tree, WorktreeError> {
    let mut files = BTreeMap::new();
    let mut folders = vec![(String::new(), tree.clone())];
    while let Some((folder, tree)) = folders.pop() {
        for entry in &tree {
            // a path that is not UTF-8 cannot be a manifest
            let Ok(name) = entry.name() else { continue };
            let path = format!("{folder}{name}");
            match entry.kind() {
                Some(ObjectType::Tree) => {
                    folders.push((format!("{path}/"), git.find_tree(entry.id())?));
                }
                Some(ObjectType::Blob) if entry.filemode() != FileMode::Link as i32 => {
                    files.insert(path, Arc::from(git.find_blob(entry.id())?.content()));
                }
                _ => {}
            }
        }
    }
    Ok(Tree { revision: revision.to_owned(), files })
}

/// Writes `base` with `files` applied and returns the new tree's id.
fn updated(
    git: &git2::Repository,
    base: &git2::Tree<'_>,
    files: &[FileChange],
) -> Result<Oid, WorktreeError> {
    let mut update = git2::build::TreeUpdateBuilder::new();
    for file in files {
        let entry = base.get_path(Path::new(&file.path)).ok();
        let found = entry.as_ref().map(|entry| git.find_blob(entry.id())).transpose()?;
        if found.as_ref().map(|blob| blob.content()) != file.before.as_deref().map(str::as_bytes) {
            return Err(WorktreeError::Outdated(file.path.clone()));
        }
        match &file.after {
            Some(text) => {
                let executable =
                    entry.is_some_and(|e| e.filemode() == FileMode::BlobExecutable as i32);
                let mode = if executable { FileMode::BlobExecutable } else { FileMode::Blob };
                update.upsert(&*file.path, git.blob(text.as_bytes())?, mode);
            }
            None if found.is_some() => {
                update.remove(&*file.path);
            }
            None => {}
        }
    }
    Ok(update.create_updated(git, base)?)
}

fn diff_trees(
    git: &git2::Repository,
    before: &git2::Tree<'_>,
    after: &git2::Tree<'_>,
) -> Result<Vec<FileChange>, WorktreeError> {
    let diff = git.diff_tree_to_tree(Some(before), Some(after), None)?;
    let mut files = Vec::new();
    for delta in diff.deltas() {
        let path = delta.new_file().path().or_else(|| delta.old_file().path());
        let path = path.map(|path| path.to_string_lossy().into_owned()).unwrap_or_default();
        let text = |id: Oid| -> Result<Option<String>, WorktreeError> {
            let bytes = git.find_blob(id)?.content().to_vec();
            String::from_utf8(bytes).map(Some).map_err(|_| WorktreeError::NotText(path.clone()))
        };
        let (old, new) = (delta.old_file().id(), delta.new_file().id());
        let before = if delta.status() == Delta::Added { None } else { text(old)? };
        let after = if delta.status() == Delta::Deleted { None } else { text(new)? };
        files.push(FileChange { path, before, after });
    }
    Ok(files)
}

#[cfg(test)]
mod tests;
