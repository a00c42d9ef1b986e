//! Finds and reads the cases of a folder. What is wrong with them is told with file and line, all of it at once.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};

use anyhow::Context;
use kubemate::config::with_suggestion;

use crate::case::Case;

/// A case and where it was read.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) case: Case,
    pub(crate) file: PathBuf,
}

/// Something wrong in a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Problem {
    pub(crate) file: PathBuf,
    /// From 1; 0 when it is about the whole file.
    pub(crate) line: u64,
    pub(crate) text: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.file.display(), self.text),
            line => write!(f, "{}:{line}: {}", self.file.display(), self.text),
        }
    }
}

/// Every `case.yaml` below `folder`, in order of their paths, and what is wrong with those that cannot be read.
///
/// # Errors
/// When the folder cannot be read.
pub(crate) fn load(folder: &Path) -> anyhow::Result<(Vec<Loaded>, Vec<Problem>)> {
    let mut files = Vec::new();
    find(folder, &mut files)?;
    files.sort();
    let (mut cases, mut problems) = (Vec::new(), Vec::new());
    let mut seen: BTreeMap<String, PathBuf> = BTreeMap::new();
    for file in files {
        match read(&file) {
            Err(problem) => problems.push(problem),
            Ok(case) => {
                if let Some(first) = seen.insert(case.id.value.clone(), file.clone()) {
                    let text = format!("the id {} is also in {}", case.id.value, first.display());
                    let line = case.id.referenced.line();
                    problems.push(Problem { file: file.clone(), line, text });
                }
                cases.push(Loaded { case, file });
            }
        }
    }
    Ok((cases, problems))
}

fn read(file: &Path) -> Result<Case, Problem> {
    let problem = |line, text| Problem { file: file.to_path_buf(), line, text };
    let text = std::fs::read_to_string(file)
        .map_err(|error| problem(0, format!("reading the case: {error}")))?;
    serde_saphyr::from_str(&text).map_err(|error| {
        let line = error.location().map_or(0, |at| at.line());
        problem(line, with_suggestion(&error.without_snippet().to_string()))
    })
}

fn find(folder: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let reading = || format!("reading the folder of cases {}", folder.display());
    for entry in std::fs::read_dir(folder).with_context(reading)? {
        let path = entry.with_context(reading)?.path();
        if path.is_dir() {
            find(&path, files)?;
        } else if path.file_name().is_some_and(|name| name == "case.yaml") {
            files.push(path);
        }
    }
    Ok(())
}
