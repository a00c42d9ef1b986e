//! The embedded forge: a bare repository that people may clone from and push to by its path, with review records kept in
//! it as JSON blobs under `refs/kubemate/reviews/`.

use anyhow::Context as _;
use async_trait::async_trait;
use git2::{ErrorCode, ObjectType};
use serde::{Deserialize, Serialize};

use super::{Forge, ForgeError, Merge, NewReview, Review, ReviewState};
use crate::worktree::{Author, MAIN, Repository, WorktreeError, history::NewMerge, write_ref};

/// How often a merge is tried again when somebody pushes to the main branch at the same moment.
const MERGE_ATTEMPTS: usize = 5;

/// Reviews in a bare repository on this machine.
#[derive(Debug, Clone)]
pub struct LocalForge {
    repository: Repository,
}

/// What is kept of a review besides its branch.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Record {
    title: String,
    body: String,
    review: Review,
}

impl LocalForge {
    /// Reviews in `repository`, which is the one kubemate works in.
    #[must_use]
    pub fn new(repository: Repository) -> Self {
        Self { repository }
    }

    async fn blocking<T, F>(&self, work: F) -> Result<T, ForgeError>
    where
        T: Send + 'static,
        F: FnOnce(&Self) -> Result<T, ForgeError> + Send + 'static,
    {
        let forge = self.clone();
        tokio::task::spawn_blocking(move || work(&forge)).await.context("waiting for git")?
    }

    fn record(&self, branch: &str) -> Result<Option<Record>, ForgeError> {
        let git = self.repository.git()?;
        let reference = match git.find_reference(&record_ref(branch)) {
            Ok(reference) => reference,
            Err(error) if error.code() == ErrorCode::NotFound => return Ok(None),
            Err(error) => return Err(WorktreeError::from(error).into()),
        };
        let blob = reference.peel(ObjectType::Blob).map_err(WorktreeError::from)?;
        let blob = blob.as_blob().context("a review record is not a blob")?;
        Ok(Some(serde_json::from_slice(blob.content()).context("reading a review record")?))
    }

    fn write(&self, record: &Record) -> Result<(), ForgeError> {
        let git = self.repository.git()?;
        let bytes = serde_json::to_vec_pretty(record).context("writing a review record")?;
        let blob = git.blob(&bytes).map_err(WorktreeError::from)?;
        let name = record_ref(&record.review.branch);
        write_ref(&git, &name, || git.reference(&name, blob, true, "kubemate: review"))
            .map_err(WorktreeError::from)?;
        Ok(())
    }

    fn open(&self, review: &NewReview) -> Result<Review, ForgeError> {
        let head = self.repository.head(&review.branch)?;
        let head = head.ok_or_else(|| ForgeError::NotFound(review.branch.clone()))?;
        if head != review.head {
            return Err(moved(&review.branch, &review.head, head));
        }
        let opened =
            Review { branch: review.branch.clone(), head, state: ReviewState::Open, url: None };
        self.write(&Record {
            title: review.title.clone(),
            body: review.body.clone(),
            review: opened.clone(),
        })?;
        Ok(opened)
    }

    /// The record brought up to date with the branch.
    fn current(&self, branch: &str) -> Result<Record, ForgeError> {
        let missing = || ForgeError::NotFound(branch.to_owned());
        let mut record = self.record(branch)?.ok_or_else(missing)?;
        if record.review.state == ReviewState::Open {
            record.review.head = self.repository.head(branch)?.ok_or_else(missing)?;
            // people may have merged it with git, and a crash may have come between our merge and our note of it
            if let Some(commit) = self.repository.merge_of(&record.review.head)? {
                record.review.state = ReviewState::Merged { commit };
            }
        }
        Ok(record)
    }

    fn merge_now(&self, merge: &Merge) -> Result<String, ForgeError> {
        let mut record = self.current(&merge.branch)?;
        if record.review.head != merge.head {
            return Err(moved(&merge.branch, &merge.head, record.review.head));
        }
        match record.review.state {
            ReviewState::Closed { .. } => return Err(ForgeError::Closed(merge.branch.clone())),
            ReviewState::Merged { commit } => return Ok(commit),
            ReviewState::Open => {}
        }
        let new = NewMerge {
            head: merge.head.clone(),
            author: Author::operator(&merge.by),
            message: merge.message.clone(),
        };
        let mut result = self.repository.merge(&new);
        for _ in 1..MERGE_ATTEMPTS {
            if !matches!(result, Err(WorktreeError::Moved(_))) {
                break;
            }
            result = self.repository.merge(&new);
        }
        let commit = result?;
        record.review.state = ReviewState::Merged { commit: commit.clone() };
        self.write(&record)?;
        self.drop_branch(&merge.branch, &merge.head)?;
        Ok(commit)
    }

    fn close_now(&self, branch: &str, reason: &str) -> Result<(), ForgeError> {
        let mut record = self.current(branch)?;
        if record.review.state == ReviewState::Open {
            record.review.state = ReviewState::Closed { reason: reason.to_owned() };
            self.write(&record)?;
        }
        self.drop_branch(branch, &record.review.head)
    }

    /// Removes the branch unless somebody pushed to it at the last moment: their work stays.
    fn drop_branch(&self, branch: &str, head: &str) -> Result<(), ForgeError> {
        match self.repository.delete_branch(branch, head) {
            Err(WorktreeError::Moved(_)) | Ok(()) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

#[async_trait]
impl Forge for LocalForge {
    async fn open_review(&self, review: &NewReview) -> Result<Review, ForgeError> {
        let review = review.clone();
        self.blocking(move |forge| forge.open(&review)).await
    }

    async fn review(&self, branch: &str) -> Result<Review, ForgeError> {
        let branch = branch.to_owned();
        self.blocking(move |forge| Ok(forge.current(&branch)?.review)).await
    }

    async fn merge(&self, merge: &Merge) -> Result<String, ForgeError> {
        let merge = merge.clone();
        self.blocking(move |forge| forge.merge_now(&merge)).await
    }

    async fn close(&self, branch: &str, reason: &str) -> Result<(), ForgeError> {
        let (branch, reason) = (branch.to_owned(), reason.to_owned());
        self.blocking(move |forge| forge.close_now(&branch, &reason)).await
    }

    async fn main(&self) -> Result<String, ForgeError> {
        self.blocking(|forge| {
            let head = forge.repository.head(MAIN)?;
            Ok(head.context("the repository has no main branch; push one or import a folder")?)
        })
        .await
    }
}

impl From<WorktreeError> for ForgeError {
    fn from(error: WorktreeError) -> Self {
        match error {
            WorktreeError::Conflicts(paths) => Self::Conflicts(paths),
            other => Self::Other(other.into()),
        }
    }
}

fn moved(branch: &str, expected: &str, found: String) -> ForgeError {
    ForgeError::HeadMoved { branch: branch.to_owned(), expected: expected.to_owned(), found }
}

fn record_ref(branch: &str) -> String {
    format!("refs/kubemate/reviews/{branch}")
}
