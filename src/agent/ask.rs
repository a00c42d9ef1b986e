//! Questions: which read tools are called, about what and when.

use serde_json::{Value, json};

use super::{
    TurnResult,
    consult::request,
    cue,
    draft::Target,
    lexicon::environment_group,
    moment,
    names::Names,
    reply,
    route::{self, Subject},
    scan::{Item, What},
    session::{Session, clarify, failed, refusal},
};
use crate::{
    domain::{Choice, Evidence, Workload},
    model::{ChatRequest, ModelError, Output, ToolCall, ToolSchema},
    tool::ToolSpec,
};

/// Arguments that say when.
const TIMES: [&str; 3] = ["since_minutes", "since", "until"];

impl Session<'_> {
    /// Answers a question.
    pub(super) async fn ask(&mut self, items: &[Item], names: &Names<'_>) -> TurnResult {
        let turn = self.turn;
        let items = &whole_names(items, names);
        let subject = self.subject(items, names);
        let asks_for_one =
            subject.workloads.is_empty() && subject.other.is_none() && cue::kind(items).is_none();
        if let (true, Some((word, near))) = (asks_for_one, subject.unknown.first())
            && !near.is_empty()
        {
            return self.did_you_mean(word, near);
        }
        if let Some(result) = self.whose_logs(items, &subject) {
            return result;
        }
        if cue::is_diagnosis(items, &subject) {
            return self.diagnose(items, &subject).await;
        }
        let calls = self.choose_calls(items, &subject).await;
        let calls = match calls {
            Ok(calls) if calls.is_empty() => {
                return clarify(self.what_about(), Vec::new());
            }
            Ok(calls) => calls,
            Err(ModelError::Unavailable(_)) if self.agent.parts.model.is_none() => {
                match self.of_the_place(items, &subject) {
                    calls if calls.is_empty() => {
                        return clarify(reply::no_model(turn.lang), vec![]);
                    }
                    calls => calls,
                }
            }
            Err(error) => return failed(reply::model_failed(turn.lang, &error.to_string())),
        };
        self.answer_from(calls, items).await
    }

    /// A diagnosis is a bundle of evidence, not a chain of guesses: first what is wrong where, then, for what ails, what
    /// happened, what it logged and what was changed.
    async fn diagnose(&mut self, items: &[Item], subject: &Subject) -> TurnResult {
        self.because("a diagnosis by the words");
        let tools = std::sync::Arc::clone(&self.agent.parts.tools);
        let calls = |names: &[&str], subject: &Subject| -> Vec<ToolCall> {
            let specs = names.iter().filter_map(|name| tools.spec(name));
            specs.flat_map(|spec| route::calls(spec, items, subject, 3)).collect()
        };
        let mut gathered = self.gather(calls(&["problems", "rollout_status"], subject)).await;
        let mut ailing = subject.clone();
        ailing.workloads.retain(|target| gathered.evidence.iter().any(|e| ails(e, target)));
        if ailing.workloads.is_empty() && subject.workloads.len() == 1 {
            ailing.workloads.clone_from(&subject.workloads);
        }
        if !ailing.workloads.is_empty() {
            let why = calls(&["events", "pod_logs", "change_history"], &ailing);
            let more = self.gather(why).await;
            gathered.evidence.extend(more.evidence);
            gathered.trouble.extend(more.trouble);
        }
        self.answer_with(gathered, items).await
    }

    /// What is wrong in the place that is named, where nothing else tells what is asked.
    fn of_the_place(&self, items: &[Item], subject: &Subject) -> Vec<ToolCall> {
        let somewhere = !subject.namespaces.is_empty();
        let spec = self.agent.parts.tools.spec("problems").filter(|_| somewhere);
        spec.map_or_else(Vec::new, |spec| route::calls(spec, items, subject, 3))
    }

    /// "show me the logs": asks back, with what runs in the place that was named.
    fn whose_logs(&mut self, items: &[Item], subject: &Subject) -> Option<TurnResult> {
        let nobody = subject.workloads.is_empty() && subject.other.is_none();
        if cue::tools(items, subject) != ["pod_logs"] || !nobody {
            return None;
        }
        let lang = self.turn.lang;
        let here = |w: &&Workload| {
            let namespace = w.object.namespace.as_deref().unwrap_or_default();
            subject.namespaces.iter().any(|said| said == namespace)
        };
        let all = self.turn.inventory.workloads.iter().filter(here);
        let names: Vec<&str> = all.map(|w| w.object.name.as_str()).collect();
        let logs = |name: &&str| Choice {
            label: (*name).to_owned(),
            say: reply::logs_of(lang, name, &subject.namespaces),
        };
        let choices = names.iter().take(8).map(logs).collect();
        self.because("logs of nobody in particular");
        Some(clarify(reply::whose_logs(lang), choices))
    }

    /// What the question is about, and when.
    fn subject(&self, items: &[Item], names: &Names<'_>) -> Subject {
        let turn = self.turn;
        let mut subject = route::subject(items, names, &turn.inventory, &self.state.focus);
        let zone = self.agent.parts.budget.time_zone.clone();
        subject.window = moment::window(&turn.text, &turn.now.to_zoned(zone));
        subject
    }

    fn what_about(&self) -> String {
        reply::pick(
            self.turn.lang,
            "您想了解哪个工作负载的什么情况？",
            "Which workload is it about, and what would you like to know?",
        )
    }

    fn did_you_mean(&mut self, word: &str, near: &[String]) -> TurnResult {
        // the whole question with the right name is the next message
        let choices = near
            .iter()
            .map(|name| Choice { label: name.clone(), say: self.turn.text.replace(word, name) })
            .collect();
        clarify(reply::unknown_workload(self.turn.lang, word, near, &[]), choices)
    }

    /// "那 cart 呢", "and in staging?": the last question about something else.
    pub(super) async fn ask_again(
        &mut self,
        items: &[Item],
        names: &Names<'_>,
    ) -> Option<TurnResult> {
        let subject = self.subject(items, names);
        let mut calls = Vec::new();
        for asked in self.state.asked.clone() {
            let spec = self.agent.parts.tools.spec(&asked.name)?;
            // said is only when: everything else stays as it was
            let about = if subject.is_somewhere() {
                route::calls(spec, items, &subject, 3)
            } else {
                vec![route::when(spec, items, &subject)]
            };
            for call in about {
                let mut arguments = asked.arguments.clone();
                if let (Some(old), Some(new)) =
                    (arguments.as_object_mut(), call.arguments.as_object())
                {
                    if subject.window.is_some() {
                        old.retain(|key, _| !TIMES.contains(&key.as_str()));
                    }
                    old.extend(new.clone());
                }
                let call = ToolCall { name: asked.name.clone(), arguments };
                if !calls.contains(&call) {
                    calls.push(call);
                }
            }
        }
        if calls.is_empty() {
            return None;
        }
        self.because("the last question about something else");
        Some(self.answer_from(calls, items).await)
    }

    /// Which calls answer the question: code where its words tell, else the model among the read tools.
    async fn choose_calls(
        &mut self,
        items: &[Item],
        subject: &Subject,
    ) -> Result<Vec<ToolCall>, ModelError> {
        let tools = std::sync::Arc::clone(&self.agent.parts.tools);
        let limit = self.agent.parts.budget.tool_calls as usize;
        let routed = cue::tools(items, subject);
        let mut calls = Vec::new();
        for spec in routed.iter().filter_map(|name| tools.spec(name)) {
            calls.extend(route::calls(spec, items, subject, 3));
        }
        calls.truncate(limit);
        if !calls.is_empty() {
            self.because(&format!("read by the words: {}", routed.join(", ")));
            return Ok(calls);
        }
        let nearest = self.nearest_calls(items, subject);
        if !nearest.is_empty() {
            return Ok(nearest);
        }
        match self.model_call(items, subject).await {
            Ok(calls) => Ok(calls),
            // what is named can at least be shown
            Err(error) => {
                self.because(&format!("the model chose nothing: {error}"));
                let shown =
                    ["rollout_status", "describe_object"].iter().find_map(|n| tools.spec(n));
                let named = !subject.workloads.is_empty() || subject.other.is_some();
                match shown.filter(|_| named) {
                    Some(spec) => Ok(route::calls(spec, items, subject, 3)),
                    None => Err(error),
                }
            }
        }
    }

    async fn model_call(
        &mut self,
        items: &[Item],
        subject: &Subject,
    ) -> Result<Vec<ToolCall>, ModelError> {
        let lang = self.turn.lang;
        let tools = std::sync::Arc::clone(&self.agent.parts.tools);
        let near = self.near.clone().unwrap_or_default();
        let mut allowed: Vec<ToolSchema> =
            route::read_specs(&tools).filter_map(|spec| narrowed(spec, subject)).collect();
        let offered = near.offered();
        if allowed.iter().any(|schema| offered.contains(&schema.name)) {
            allowed.retain(|schema| offered.contains(&schema.name));
        }
        if allowed.is_empty() {
            return Ok(Vec::new());
        }
        let prompts = std::sync::Arc::clone(&self.agent.parts.prompts);
        let written = |name, values| {
            prompts.render(name, values).map_err(|error| ModelError::Other(error.into()))
        };
        let system = written("ask", json!({}))?;
        let examples: Vec<Value> = near
            .shown()
            .into_iter()
            .map(|example| json!({ "say": example.say, "tool": example.tool }))
            .collect();
        let user =
            written("question", json!({ "question": self.turn.text, "examples": examples }))?;
        self.progress(
            "thinking",
            reply::pick(lang, "正在选择要查的数据……", "Choosing what to read..."),
        )
        .await;
        // the model is told about every read tool in the same words each time, so that its prompt's prefix stays cached
        let told = route::read_specs(&tools).map(schema).collect();
        let request = request(system, user, told, Output::ToolCall, 200);
        let call = self.choose(ChatRequest { allowed, ..request }).await?;
        self.because(&format!("the model chose {} {}", call.name, call.arguments));
        // names come from the words; the model's own arguments only add options
        let Some(spec) = tools.spec(&call.name) else { return Ok(Vec::new()) };
        let mut calls = route::calls(spec, items, subject, 3);
        if calls.is_empty() {
            calls.push(call);
        }
        Ok(calls)
    }

    /// A typed read command: its arguments are as typed; a name that is a little off is asked about.
    pub(super) async fn read_typed(&mut self, call: ToolCall) -> TurnResult {
        if self.agent.parts.tools.spec(&call.name).is_none() {
            return refusal("unsupported", reply::unsupported(self.turn.lang, &call.name));
        }
        let name = call.arguments.get("workload").or_else(|| call.arguments.get("name"));
        let turn = self.turn;
        let names = Names::of(&turn.inventory);
        if let Some(name) = name.and_then(Value::as_str) {
            let known = names.find(name).is_some();
            let near = names.near(name);
            if !known && !near.is_empty() {
                return self.did_you_mean(name, &near);
            }
        }
        let call = self.with_kind(call);
        let calls = self.placed(call);
        // typed commands work without a model, so none is waited for
        self.asked_in_words = false;
        self.answer_from(calls, &[]).await
    }

    /// A name typed without its kind: the kind of the workload or other object of that name.
    fn with_kind(&self, mut call: ToolCall) -> ToolCall {
        let inventory = &self.turn.inventory;
        let name = call.arguments.get("name").and_then(Value::as_str);
        let untold = call.name == "describe_object" && call.arguments.get("kind").is_none();
        if let (true, Some(name)) = (untold, name) {
            let workloads = inventory.workloads.iter().map(|w| &w.object);
            let kind = workloads.chain(&inventory.others).find(|o| o.name == name).map(|o| &o.kind);
            // without one the tool says what is missing
            let kind = kind.map_or("Deployment", String::as_str).to_owned();
            call.arguments["kind"] = json!(kind);
        }
        call
    }

    /// A typed `-n` may be an environment: the calls for the namespaces it means.
    fn placed(&self, call: ToolCall) -> Vec<ToolCall> {
        let inventory = &self.turn.inventory;
        let said = call.arguments.get("namespace").and_then(Value::as_str).map(str::to_owned);
        let Some(said) = said.filter(|said| !inventory.namespaces.contains(said)) else {
            return vec![call];
        };
        let group = environment_group(&said);
        let meant = |environment: &str| {
            environment == said || (group.is_some() && environment_group(environment) == group)
        };
        let name = call.arguments.get("workload").or_else(|| call.arguments.get("name"));
        let mut namespaces: Vec<&String> = Vec::new();
        for workload in &inventory.workloads {
            let named =
                name.and_then(Value::as_str).is_none_or(|name| name == workload.object.name);
            let here = workload.environment.as_deref().is_some_and(meant);
            if let (true, true, Some(namespace)) = (named, here, &workload.object.namespace)
                && !namespaces.contains(&namespace)
            {
                namespaces.push(namespace);
            }
        }
        if namespaces.is_empty() {
            return vec![call];
        }
        let with = |namespace: &String| {
            let mut call = call.clone();
            call.arguments["namespace"] = json!(namespace);
            call
        };
        namespaces.into_iter().map(with).collect()
    }
}

/// Half a Han name that only one workload has: reading needs no question back.
fn whole_names(items: &[Item], names: &Names<'_>) -> Vec<Item> {
    let named = items.iter().any(|i| i.name().is_some_and(|n| !n.workloads.is_empty()));
    let whole = |item: &Item| {
        let half = item.what == What::Unknown && item.text.chars().all(super::text::is_han);
        let near = if half && !named { names.near(&item.text) } else { Vec::new() };
        let name = match near.as_slice() {
            [one] => names.find(one),
            _ => None,
        };
        Item { what: name.map_or_else(|| item.what.clone(), What::Name), ..item.clone() }
    };
    items.iter().map(whole).collect()
}

/// Whether evidence tells of something wrong with a workload.
fn ails(evidence: &Evidence, target: &Target) -> bool {
    let here = |namespace: Option<&str>| namespace == target.namespace.as_deref();
    match evidence.tool.as_str() {
        "problems" => evidence
            .data
            .as_array()
            .into_iter()
            .flatten()
            .any(|problem| problem["severity"] != "info" && here(problem["namespace"].as_str())),
        "rollout_status" => {
            let object = evidence.data["object"].as_str().unwrap_or_default();
            let name = target.names.first().map_or("", String::as_str);
            let namespace = target.namespace.as_deref().unwrap_or_default();
            object.ends_with(&format!("/{namespace}/{name}"))
                && evidence.data["health"] != "healthy"
        }
        _ => false,
    }
}

/// A tool as the model is told about it.
pub(super) fn schema(spec: &ToolSpec) -> ToolSchema {
    ToolSchema {
        name: spec.name.clone(),
        description: spec.description.clone(),
        parameters: spec.input_schema.clone(),
    }
}

/// A read tool whose names can only be those the question is about.
fn narrowed(spec: &ToolSpec, subject: &Subject) -> Option<ToolSchema> {
    let mut parameters = spec.input_schema.clone();
    let mut names: Vec<&str> =
        subject.workloads.iter().flat_map(|t: &Target| &t.names).map(String::as_str).collect();
    names.extend(subject.other.iter().map(|(_, name, _)| name.as_str()));
    names.dedup();
    let needs_name = parameters
        .get("required")
        .and_then(Value::as_array)
        .is_some_and(|all| all.iter().any(|r| matches!(r.as_str(), Some("workload" | "name"))));
    if needs_name && names.is_empty() {
        return None;
    }
    let properties = parameters.get_mut("properties").and_then(Value::as_object_mut)?;
    for key in ["workload", "name"] {
        if names.is_empty() {
            properties.remove(key);
        } else if let Some(rule) = properties.get_mut(key) {
            *rule = json!({ "type": "string", "enum": names });
        }
    }
    let mut namespaces: Vec<&str> = subject.namespaces.iter().map(String::as_str).collect();
    namespaces.extend(subject.workloads.iter().filter_map(|t| t.namespace.as_deref()));
    namespaces.dedup();
    if namespaces.is_empty() {
        properties.remove("namespace");
    } else if let Some(rule) = properties.get_mut("namespace") {
        *rule = json!({ "type": "string", "enum": namespaces });
    }
    Some(ToolSchema { name: spec.name.clone(), description: spec.description.clone(), parameters })
}
