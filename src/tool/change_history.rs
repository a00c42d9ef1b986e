//! Who changed an object (or anything) in git, when, and which fields: from the commits of the main branch.

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Tool, ToolContext, ToolError, ToolOutput,
    read::{Span, When, age, ambiguous, columns, evidence, say},
    target::arguments,
};
use crate::{
    domain::{Evidence, ObjectRef},
    gitops::{
        diff::{self, FieldChange},
        render::render,
        unit::discover,
    },
    worktree::{MAIN, Repository, history::LogEntry},
};

/// Reads history.
pub(super) struct ChangeHistory {
    pub(super) repository: Repository,
}

#[derive(Deserialize)]
struct Arguments {
    workload: Option<String>,
    namespace: Option<String>,
    kind: Option<String>,
    limit: Option<usize>,
    #[serde(flatten)]
    when: When,
}

/// Commits looked through at most.
const MAX_COMMITS: usize = 100;
/// Fields shown of one commit.
const MAX_FIELDS: usize = 4;
/// Longest value shown.
const MAX_VALUE: usize = 60;

/// A commit and what it did to the object.
struct Step {
    entry: LogEntry,
    what: Vec<String>,
}

#[async_trait]
impl Tool for ChangeHistory {
    fn name(&self) -> &'static str {
        "change_history"
    }

    async fn call(&self, context: &ToolContext, input: Value) -> Result<ToolOutput, ToolError> {
        let input: Arguments = arguments(input)?;
        let limit = input.limit.unwrap_or(10).clamp(1, 50);
        let object = match &input.workload {
            Some(name) => Some(object(context, name, &input)?),
            None => None,
        };
        let repository = self.repository.clone();
        let asked = object.clone();
        let span = input.when.span(context)?;
        let shown = span.shown.clone();
        let read =
            tokio::task::spawn_blocking(move || steps(&repository, asked.as_ref(), limit, &span));
        let steps = read
            .await
            .map_err(|error| {
                ToolError::Fatal(anyhow::Error::new(error).context("reading git history"))
            })?
            .map_err(|error| ToolError::Fatal(error.context("reading git history")))?;
        Ok(ToolOutput::Evidence(vec![shape(self.name(), context, object.as_ref(), (steps, shown))]))
    }
}

/// The object meant, among those git declares.
fn object(context: &ToolContext, name: &str, input: &Arguments) -> Result<ObjectRef, ToolError> {
    let fits = |object: &&ObjectRef| {
        input.namespace.as_ref().is_none_or(|ns| object.namespace.as_ref() == Some(ns))
            && input.kind.as_ref().is_none_or(|kind| object.kind.eq_ignore_ascii_case(kind))
    };
    let inventory = &context.inventory;
    let workloads = inventory.workloads.iter().filter(|w| w.unit.is_some());
    let named: Vec<&ObjectRef> = workloads
        .filter(|w| w.object.name == name || w.aliases.iter().any(|alias| alias == name))
        .map(|w| &w.object)
        .filter(fits)
        .collect();
    let found = if named.is_empty() {
        inventory.others.iter().filter(|object| object.name == name).filter(fits).collect()
    } else {
        named
    };
    match found.as_slice() {
        [one] => Ok((*one).clone()),
        [] => Err(ToolError::Respond(say(
            context.lang,
            format!("git 里没有声明名为 {name} 的对象"),
            format!("git declares no object {name}"),
        ))),
        several => {
            let names: Vec<String> = several.iter().map(ToString::to_string).collect();
            Err(ambiguous(context.lang, name, &names))
        }
    }
}

fn steps(
    repository: &Repository,
    object: Option<&ObjectRef>,
    limit: usize,
    span: &Span,
) -> anyhow::Result<Vec<Step>> {
    let Some(head) = repository.head(MAIN)? else { return Ok(Vec::new()) };
    let Some(object) = object else {
        let entries = repository.log(&head, &[], MAX_COMMITS)?;
        let within = entries.into_iter().filter(|entry| span.holds(Some(entry.at))).take(limit);
        return Ok(within.map(|entry| Step { entry, what: Vec::new() }).collect());
    };
    let mut found = Vec::new();
    // each commit's state before is the next one's state after
    let mut after = declared(repository, &head, object)?;
    for entry in repository.log(&head, &[], MAX_COMMITS)? {
        let before = match &entry.parent {
            Some(parent) => declared(repository, parent, object)?,
            None => None,
        };
        if before != after && span.holds(Some(entry.at)) {
            let what = match (&before, &after) {
                (Some(before), Some(after)) => fields(&diff::fields(before, after)),
                (None, _) => vec!["+".to_owned()],
                (_, None) => vec!["-".to_owned()],
            };
            found.push(Step { entry, what });
            if found.len() == limit {
                break;
            }
        }
        after = before;
    }
    Ok(found)
}

/// What a revision declares for the object; nothing where it does not, or cannot be rendered.
fn declared(
    repository: &Repository,
    revision: &str,
    object: &ObjectRef,
) -> anyhow::Result<Option<Value>> {
    let tree = repository.tree(revision)?;
    let units = discover(&tree).unwrap_or_default();
    let mut rendered = units.iter().filter_map(|unit| render(&tree, unit).ok()).flatten();
    Ok(rendered.find(|rendered| rendered.object == *object).map(|rendered| rendered.value))
}

fn fields(changes: &[FieldChange]) -> Vec<String> {
    let show = |value: &Option<Value>| match value {
        None => "-".to_owned(),
        Some(Value::String(text)) => shorten(text),
        Some(other) => shorten(&other.to_string()),
    };
    let mut shown: Vec<String> = changes
        .iter()
        .take(MAX_FIELDS)
        .map(|change| {
            format!("{}: {} → {}", change.path, show(&change.before), show(&change.after))
        })
        .collect();
    if changes.len() > MAX_FIELDS {
        shown.push(format!("+{}", changes.len() - MAX_FIELDS));
    }
    shown
}

fn shorten(text: &str) -> String {
    match text.char_indices().nth(MAX_VALUE) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

fn shape(
    tool: &str,
    context: &ToolContext,
    object: Option<&ObjectRef>,
    (steps, span): (Vec<Step>, String),
) -> Evidence {
    let lang = context.lang;
    let name = object.map_or_else(|| say(lang, "仓库", "the repository"), ToString::to_string);
    let name = name + &span;
    let title = match steps.first() {
        None => {
            say(lang, format!("{name} 没有改动记录"), format!("no changes of {name} are recorded"))
        }
        Some(last) => say(
            lang,
            format!(
                "{name}：最近 {} 次改动，最后一次由 {} 在 {} 前提交",
                steps.len(),
                last.entry.author,
                age(context.now, Some(last.entry.at))
            ),
            format!(
                "{name}: {}, the newest by {} {} ago",
                if steps.len() == 1 {
                    "1 change".to_owned()
                } else {
                    format!("the last {} changes", steps.len())
                },
                last.entry.author,
                age(context.now, Some(last.entry.at))
            ),
        ),
    };
    let mut found = evidence(tool, context, title, "git log --first-parent main".to_owned());
    "git".clone_into(&mut found.source);
    found.columns = columns(
        lang,
        &[
            ("时间", "When"),
            ("作者", "Author"),
            ("提交", "Commit"),
            ("说明", "Subject"),
            ("改动", "Fields"),
            ("变更单", "Change"),
        ],
    );
    found.summary = steps.iter().take(3).map(|step| told(context, step)).collect();
    let mut data = Vec::new();
    for Step { entry, what } in &steps {
        let change = entry.trailers.iter().find(|(key, _)| key == "Change-Id");
        let change = change.map_or("", |(_, id)| id.as_str());
        found.rows.push(vec![
            entry.at.to_string(),
            entry.author.clone(),
            entry.revision.chars().take(10).collect(),
            entry.subject.clone(),
            what.join("; "),
            change.to_owned(),
        ]);
        data.push(json!({ "commit": entry, "fields": what }));
    }
    found.data = Value::Array(data);
    found
}

/// One step in a sentence.
fn told(context: &ToolContext, Step { entry, what }: &Step) -> String {
    let lang = context.lang;
    let fields = match what.as_slice() {
        [one] if one == "+" => say(lang, "新建", "created"),
        [one] if one == "-" => say(lang, "删除", "deleted"),
        fields => fields.join("; "),
    };
    let fields = if fields.is_empty() { String::new() } else { format!(" [{fields}]") };
    let (ago, author, subject) = (age(context.now, Some(entry.at)), &entry.author, &entry.subject);
    say(
        lang,
        format!("{ago} 前，{author}：{subject}{fields}"),
        format!("{ago} ago, {author}: {subject}{fields}"),
    )
}
