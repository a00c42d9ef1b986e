//! Typed commands: `/scale NAME 5 -n NAMESPACE`. They become the same tool calls that a model would choose, so they need
//! no model and pass the same guards; approvals and help are commands of the conversation itself.

mod error;
mod verb;

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::{
    domain::{ChangeId, Inventory, Lang},
    model::ToolCall,
};
pub use error::CommandError;
use verb::Verb;

/// What an operator typed.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// A call of a tool.
    Call(ToolCall),
    /// Approve a change.
    Approve {
        /// Which.
        change: ChangeId,
        /// What the approver says about it.
        comment: Option<String>,
    },
    /// Turn a change down.
    Reject {
        /// Which.
        change: ChangeId,
        /// Why.
        comment: Option<String>,
    },
    /// List the changes.
    Changes,
    /// Explain the commands.
    Help,
}

/// Reads a typed command; `None` when the message is not one.
#[must_use]
pub fn parse(text: &str) -> Option<Result<Command, CommandError>> {
    let text = text.trim();
    let rest = text.strip_prefix(['/', '／'])?;
    // a path or a sentence that starts with a slash is no command
    if !rest.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return None;
    }
    Some(words(rest).and_then(|words| read(&words)))
}

/// The help text, as Markdown.
#[must_use]
pub fn help(lang: Lang) -> String {
    let rows = Verb::ALL.map(|verb| format!("- `{}`  {}", verb.usage(), verb.about(lang)));
    rows.join("\n")
}

/// What may follow what was typed: verbs first, then names of the inventory. Whole messages are returned.
#[must_use]
pub fn complete(typed: &str, inventory: &Inventory) -> Vec<String> {
    let Some(rest) = typed.strip_prefix('/') else { return Vec::new() };
    let Some((word, _)) = rest.split_once(' ') else {
        let verbs = Verb::ALL.iter().map(|verb| verb.word());
        return verbs.filter(|v| v.starts_with(rest)).map(|v| format!("/{v} ")).collect();
    };
    let Some(verb) = Verb::of(word) else { return Vec::new() };
    let last = typed.rsplit(' ').next().unwrap_or_default();
    let head = &typed[..typed.len() - last.len()];
    let position = head.split_whitespace().count();
    let mut names: Vec<&str> = if head.trim_end().ends_with("-n") {
        inventory.namespaces.iter().chain(&inventory.environments).map(String::as_str).collect()
    } else if position == 1 && verb.takes_workload() {
        inventory.workloads.iter().map(|w| w.object.name.as_str()).collect()
    } else {
        Vec::new()
    };
    names.sort_unstable();
    names.dedup();
    names.into_iter().filter(|n| n.starts_with(last)).map(|n| format!("{head}{n} ")).collect()
}

/// A command's words after the verb: positional ones and options.
struct Words {
    usage: &'static str,
    positional: std::collections::VecDeque<String>,
    options: BTreeMap<&'static str, String>,
}

impl Words {
    fn of(words: &[String], usage: &'static str) -> Result<Self, CommandError> {
        let mut found =
            Self { usage, positional: std::collections::VecDeque::new(), options: BTreeMap::new() };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let key = match word.as_str() {
                "-n" | "--namespace" => "namespace",
                "-c" | "--container" => "container",
                "-p" | "--previous" => {
                    found.options.insert("previous", "true".to_owned());
                    continue;
                }
                option if option.starts_with("--") => return Err(found.unexpected(option)),
                _ => {
                    found.positional.push_back(word.clone());
                    continue;
                }
            };
            let value = words.next().ok_or(CommandError::Missing { usage })?;
            found.options.insert(key, value.clone());
        }
        Ok(found)
    }

    fn next(&mut self) -> Result<String, CommandError> {
        self.positional.pop_front().ok_or(CommandError::Missing { usage: self.usage })
    }

    fn unexpected(&self, word: &str) -> CommandError {
        CommandError::Unexpected { word: word.to_owned(), usage: self.usage }
    }

    /// A call with the options allowed and nothing left over.
    fn call(
        mut self,
        name: &str,
        mut arguments: Map<String, Value>,
        allowed: &[&'static str],
    ) -> Result<Command, CommandError> {
        if let Some(word) = self.positional.front() {
            return Err(self.unexpected(word));
        }
        for (key, value) in std::mem::take(&mut self.options) {
            if !allowed.contains(&key) {
                return Err(self.unexpected(&value));
            }
            let value = if key == "previous" { json!(true) } else { json!(value) };
            arguments.insert(key.to_owned(), value);
        }
        let arguments = Value::Object(arguments);
        Ok(Command::Call(ToolCall { name: name.to_owned(), arguments }))
    }

    fn change(&mut self) -> Result<(ChangeId, Option<String>), CommandError> {
        let change = ChangeId(self.next()?);
        let comment: Vec<String> = self.positional.drain(..).collect();
        Ok((change, (!comment.is_empty()).then(|| comment.join(" "))))
    }
}

fn read(words: &[String]) -> Result<Command, CommandError> {
    let Some((first, rest)) = words.split_first() else {
        return Ok(Command::Help);
    };
    let Some(verb) = Verb::of(&first.to_lowercase()) else {
        let near = Verb::ALL
            .iter()
            .map(|v| (strsim::damerau_levenshtein(v.word(), &first.to_lowercase()), v.word()))
            .min()
            .filter(|(distance, _)| *distance <= 2)
            .map(|(_, word)| word);
        return Err(CommandError::Unknown { verb: first.clone(), near });
    };
    let mut words = Words::of(rest, verb.usage())?;
    match verb {
        Verb::Scale
        | Verb::Image
        | Verb::Env
        | Verb::Resources
        | Verb::Restart
        | Verb::Rollback
        | Verb::Undo => change(verb, words),
        Verb::Approve => {
            let (change, comment) = words.change()?;
            Ok(Command::Approve { change, comment })
        }
        Verb::Reject => {
            let (change, comment) = words.change()?;
            Ok(Command::Reject { change, comment })
        }
        Verb::Changes => Ok(Command::Changes),
        Verb::Help => Ok(Command::Help),
        Verb::List
        | Verb::Describe
        | Verb::Logs
        | Verb::Events
        | Verb::Rollout
        | Verb::Top
        | Verb::History
        | Verb::Problems => look(verb, words),
    }
}

/// The commands that propose changes.
fn change(verb: Verb, mut words: Words) -> Result<Command, CommandError> {
    let mut arguments = Map::new();
    if verb == Verb::Undo {
        if let Ok(change) = words.next() {
            arguments.insert("change".to_owned(), json!(change));
        }
        return words.call("undo", arguments, &[]);
    }
    arguments.insert("workload".to_owned(), json!(words.next()?));
    match verb {
        Verb::Scale => {
            let word = words.next()?;
            let replicas: i64 = word.parse().map_err(|_| CommandError::NotANumber {
                word: word.clone(),
                usage: verb.usage(),
            })?;
            arguments.insert("replicas".to_owned(), json!(replicas));
            words.call("scale", arguments, &["namespace"])
        }
        Verb::Image => {
            let image = words.next()?;
            let bare = !image.contains(['/', ':', '@']);
            let image = if bare { format!(":{image}") } else { image };
            arguments.insert("image".to_owned(), json!(image));
            words.call("set_image", arguments, &["namespace", "container"])
        }
        Verb::Env => {
            env(&mut words, &mut arguments)?;
            words.call("set_env", arguments, &["namespace", "container"])
        }
        Verb::Resources => {
            resources(&mut words, &mut arguments)?;
            words.call("set_resources", arguments, &["namespace", "container"])
        }
        Verb::Rollback => {
            if let Ok(revision) = words.next() {
                arguments.insert("revision".to_owned(), json!(revision));
            }
            words.call("rollback", arguments, &["namespace"])
        }
        _ => words.call("restart", arguments, &["namespace"]),
    }
}

fn env(words: &mut Words, arguments: &mut Map<String, Value>) -> Result<(), CommandError> {
    let (mut set, mut unset) = (Map::new(), Vec::new());
    for word in std::mem::take(&mut words.positional) {
        match (word.split_once('='), word.strip_suffix('-')) {
            (Some((key, value)), _) if !key.is_empty() => {
                set.insert(key.to_owned(), json!(value));
            }
            (None, Some(key)) if !key.is_empty() => unset.push(json!(key)),
            _ => return Err(words.unexpected(&word)),
        }
    }
    if set.is_empty() && unset.is_empty() {
        return Err(CommandError::Missing { usage: words.usage });
    }
    for (key, value, empty) in [
        ("set", Value::Object(set.clone()), set.is_empty()),
        ("unset", Value::Array(unset.clone()), unset.is_empty()),
    ] {
        if !empty {
            arguments.insert(key.to_owned(), value);
        }
    }
    Ok(())
}

fn resources(words: &mut Words, arguments: &mut Map<String, Value>) -> Result<(), CommandError> {
    let (mut requests, mut limits) = (Map::new(), Map::new());
    for word in std::mem::take(&mut words.positional) {
        let Some((key, amount)) = word.split_once('=') else { return Err(words.unexpected(&word)) };
        let (map, resource) = match key.split_once('.') {
            Some(("limits" | "limit", resource)) => (&mut limits, resource),
            Some(("requests" | "request", resource)) => (&mut requests, resource),
            _ => (&mut requests, key),
        };
        if resource.is_empty() || amount.is_empty() {
            return Err(words.unexpected(&word));
        }
        map.insert(resource.to_owned(), json!(amount));
    }
    if requests.is_empty() && limits.is_empty() {
        return Err(CommandError::Missing { usage: words.usage });
    }
    for (key, map) in [("requests", requests), ("limits", limits)] {
        if !map.is_empty() {
            arguments.insert(key.to_owned(), Value::Object(map));
        }
    }
    Ok(())
}

/// The commands that only look.
fn look(verb: Verb, mut words: Words) -> Result<Command, CommandError> {
    let mut arguments = Map::new();
    let mut put = |key: &str, value: String| {
        arguments.insert(key.to_owned(), json!(value));
    };
    let (tool, options): (&str, &[&'static str]) = match verb {
        Verb::List => {
            let kind = words.next().unwrap_or_else(|_| "deployment".to_owned());
            put("kind", kind_name(&kind));
            ("list_objects", &["namespace"])
        }
        Verb::Describe => {
            let word = words.next()?;
            if let Some((kind, name)) = word.split_once('/') {
                put("kind", kind_name(kind));
                put("name", name.to_owned());
            } else {
                put("name", word);
            }
            ("describe_object", &["namespace"])
        }
        Verb::Logs => {
            put("workload", words.next()?);
            ("pod_logs", &["namespace", "container", "previous"])
        }
        Verb::Rollout => {
            put("workload", words.next()?);
            ("rollout_status", &["namespace"])
        }
        Verb::History => {
            put("workload", words.next()?);
            ("change_history", &["namespace"])
        }
        Verb::Events => {
            if let Ok(name) = words.next() {
                put("name", name);
            }
            ("events", &["namespace"])
        }
        Verb::Top => {
            if let Ok(name) = words.next() {
                put("workload", name);
            }
            ("resource_usage", &["namespace"])
        }
        _ => ("problems", &["namespace"]),
    };
    words.call(tool, arguments, options)
}

/// The kind as the API writes it: `pods`, `po`, `pod` are `Pod`.
fn kind_name(typed: &str) -> String {
    let lower = typed.to_lowercase();
    const KINDS: [(&str, &str); 22] = [
        ("pod", "Pod"),
        ("po", "Pod"),
        ("deployment", "Deployment"),
        ("deploy", "Deployment"),
        ("statefulset", "StatefulSet"),
        ("sts", "StatefulSet"),
        ("daemonset", "DaemonSet"),
        ("ds", "DaemonSet"),
        ("job", "Job"),
        ("cronjob", "CronJob"),
        ("cj", "CronJob"),
        ("service", "Service"),
        ("svc", "Service"),
        ("configmap", "ConfigMap"),
        ("cm", "ConfigMap"),
        ("secret", "Secret"),
        ("ingress", "Ingress"),
        ("namespace", "Namespace"),
        ("ns", "Namespace"),
        ("node", "Node"),
        ("no", "Node"),
        ("pvc", "PersistentVolumeClaim"),
    ];
    let plain = lower.strip_suffix("es").filter(|s| s.ends_with("ss")).unwrap_or_else(|| {
        if lower.len() > 3 { lower.strip_suffix('s').unwrap_or(&lower) } else { &lower }
    });
    let found = KINDS.iter().find(|(short, _)| *short == plain || *short == lower);
    found.map_or_else(|| typed.to_owned(), |(_, kind)| (*kind).to_owned())
}

/// Splits into words; quotes keep spaces.
fn words(text: &str) -> Result<Vec<String>, CommandError> {
    let (mut found, mut word, mut quote, mut any) = (Vec::new(), String::new(), None, false);
    for c in text.chars() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some(_), c) => word.push(c),
            (None, '"' | '\'') => (quote, any) = (Some(c), true),
            (None, c) if c.is_whitespace() => {
                if any {
                    found.push(std::mem::take(&mut word));
                }
                any = false;
            }
            (None, c) => {
                word.push(c);
                any = true;
            }
        }
    }
    if quote.is_some() {
        return Err(CommandError::OpenQuote);
    }
    if any {
        found.push(word);
    }
    Ok(found)
}

#[cfg(test)]
mod tests;
