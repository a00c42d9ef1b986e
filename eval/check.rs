//! What can be wrong with a well-formed case before it runs: unknown scenarios, operators, tools and arguments, several
//! actions in one step, expectations that can never hold.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use anyhow::Context;
use kubemate::{
    cluster::Cluster,
    config::with_suggestion,
    sandbox::scenario::{FILE, Scenario},
    tool,
    worktree::Repository,
};

use crate::{
    case::{CallExpect, Turn},
    load::{Loaded, Problem},
};

/// The operators of each scenario, by the scenario's name.
type Operators = BTreeMap<String, BTreeSet<String>>;

/// What cases may name.
pub(crate) struct Known {
    operators: Operators,
    /// Tools and the names of their arguments.
    tools: BTreeMap<String, BTreeSet<String>>,
}

impl Known {
    /// Reads every scenario below `folder`, and those that do not load into `problems`.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub(crate) fn read(folder: &Path, problems: &mut Vec<Problem>) -> anyhow::Result<Self> {
        let reading = || format!("reading the folder of scenarios {}", folder.display());
        let mut operators = Operators::new();
        for entry in std::fs::read_dir(folder).with_context(reading)? {
            let path = entry.with_context(reading)?.path();
            if !path.is_dir() {
                continue;
            }
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            operators.insert(name, scenario(&path, problems));
        }
        Ok(Self { operators, tools: tools()? })
    }

    /// Everything that is wrong with one case.
    pub(crate) fn check(&self, loaded: &Loaded) -> Vec<Problem> {
        let (case, file) = (&loaded.case, &loaded.file);
        let mut problems = Vec::new();
        let mut tell = |line: u64, text: String| {
            problems.push(Problem { file: file.clone(), line, text });
        };
        let folder = file.parent().and_then(Path::file_name).map(|name| name.to_string_lossy());
        if folder.as_deref() != Some(case.id.value.as_str()) {
            let text = format!("the id {} is not its folder's name", case.id.value);
            tell(case.id.referenced.line(), text);
        }
        let operators = self.operators.get(&case.scenario.value);
        if operators.is_none() {
            let text = unknown("scenario", &case.scenario.value, self.operators.keys());
            tell(case.scenario.referenced.line(), text);
        }
        let somebody = |name: &str| match operators {
            Some(known) if !known.contains(name) => Some(unknown("operator", name, known)),
            _ => None,
        };
        if let Some(text) = somebody(&case.speaker.value) {
            tell(case.speaker.referenced.line(), text);
        }
        if case.turns.is_empty() {
            tell(0, "a case needs at least one turn".to_owned());
        }
        for turn in &case.turns {
            let line = turn.referenced.line();
            let named = [&turn.value.speaker, &turn.value.approve, &turn.value.reject];
            for text in named.into_iter().flatten().filter_map(|name| somebody(name)) {
                tell(line, text);
            }
            for text in self.turn(&turn.value) {
                tell(line, text);
            }
        }
        problems
    }

    fn turn(&self, turn: &Turn) -> Vec<String> {
        let mut wrong = Vec::new();
        let expect = &turn.expect;
        let actions = turn.actions();
        match actions.as_slice() {
            [_] => {}
            [] => wrong.push("the turn has no action; give it one, like say or approve".to_owned()),
            several => wrong.push(format!("the turn has several actions: {}", several.join(", "))),
        }
        let said = turn.say.is_some();
        if !said && turn.speaker.is_some() {
            wrong.push("`as` goes with `say`; approve and reject name their operator".to_owned());
        }
        let of_reply = expect.kind.is_some()
            || expect.only
            || !(expect.objects.is_empty()
                && expect.calls.is_empty()
                && expect.no_calls.is_empty())
            || expect.answer.is_some()
            || expect.cause.is_some();
        if !said && of_reply {
            wrong.push(
                "a step without `say` has no reply; expect only healthy or refused".to_owned(),
            );
        }
        if expect.refused && turn.approve.is_none() && turn.reject.is_none() {
            wrong.push("`refused` goes with approve or reject".to_owned());
        }
        if let Some(Err(error)) =
            turn.advance.as_ref().map(|span| span.parse::<jiff::SignedDuration>())
        {
            wrong.push(format!("reading `advance`: {error}; write 90s, 10m or 2h"));
        }
        for field in expect.objects.iter().filter(|field| !field.path.starts_with('/')) {
            wrong.push(format!("`{}` is not a JSON pointer: begin it with /", field.path));
        }
        for call in &expect.calls {
            wrong.extend(self.call(call));
        }
        let unknown_tool = |name: &&String| !self.tools.contains_key(name.as_str());
        let never = expect.no_calls.iter().filter(unknown_tool);
        wrong.extend(never.map(|name| unknown("tool", name, self.tools.keys())));
        if let Some(cause) = &expect.cause
            && cause.object.contains('/')
            && let Err(error) = cause.object.parse::<kubemate::domain::ObjectRef>()
        {
            wrong.push(error.to_string());
        }
        wrong
    }

    fn call(&self, call: &CallExpect) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut arguments = BTreeSet::new();
        for name in call.tool.split('|').map(str::trim) {
            match self.tools.get(name) {
                None => wrong.push(unknown("tool", name, self.tools.keys())),
                Some(known) => arguments.extend(known),
            }
        }
        if wrong.is_empty() {
            let strange = call.args.keys().filter(|key| !arguments.contains(key));
            wrong.extend(strange.map(|key| {
                format!("{}: {}", call.tool, unknown("argument", key, arguments.iter().copied()))
            }));
        }
        wrong
    }
}

/// The operators of a scenario; what is wrong with it goes into `problems`.
fn scenario(folder: &Path, problems: &mut Vec<Problem>) -> BTreeSet<String> {
    let file = folder.join(FILE);
    match Scenario::load(folder) {
        Ok(scenario) => {
            if !scenario.manifests.is_dir() {
                let text = format!("there is no folder {}", scenario.manifests.display());
                problems.push(Problem { file, line: 0, text });
            }
            scenario.operators.into_iter().map(|operator| operator.name).collect()
        }
        Err(error) => {
            let text = with_suggestion(&format!("{error:#}"));
            // the scenario's own errors say file and line already
            let begins = format!("{}:", file.display());
            let rest = text.strip_prefix(&begins).unwrap_or(&text);
            let (line, text) = match rest.split_once(':').map(|(line, text)| (line.parse(), text)) {
                Some((Ok(line), text)) => (line, text.trim().to_owned()),
                _ => (0, rest.trim().to_owned()),
            };
            problems.push(Problem { file, line, text });
            BTreeSet::new()
        }
    }
}

/// `unknown tool x, expected one of a, b; did you mean a?`
fn unknown<'a>(what: &str, name: &str, known: impl IntoIterator<Item = &'a String>) -> String {
    let known: Vec<&str> = known.into_iter().map(String::as_str).collect();
    with_suggestion(&format!("unknown {what} `{name}`, expected one of {}", known.join(", ")))
}

/// The tools and the names of their arguments. Their declarations are joined to code, which wants a cluster and a
/// repository; neither is asked anything.
fn tools() -> anyhow::Result<BTreeMap<String, BTreeSet<String>>> {
    let nowhere = "http://127.0.0.1:1".parse().context("making an address")?;
    let folder = tempfile::tempdir().context("making a folder")?;
    let repository = Repository::open_or_init(folder.path())?;
    let registry = tool::registry(&Cluster::new(kube::Config::new(nowhere)), &repository)?;
    let arguments = |spec: &tool::ToolSpec| {
        let properties = spec.input_schema.pointer("/properties");
        properties.and_then(|all| all.as_object()).map(|all| all.keys().cloned().collect())
    };
    Ok(registry.specs().map(|s| (s.name.clone(), arguments(s).unwrap_or_default())).collect())
}
