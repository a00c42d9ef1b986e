//! What will become of a pod and its containers: faults, images, and references to objects that may be missing.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::container::{End, Fate};
use crate::sandbox::{
    control::{
        demand, image,
        object::{items, kind, name, namespace, seconds, text, text_map},
        quantity::Quantity,
        view::{View, controller},
    },
    fault::{ContainerFacts, Effect, Injected, Subject},
    storage::Storage,
};

/// A pod with its owners, as fault selectors see it.
pub(crate) fn subject(storage: &Storage, pod: &Value) -> Subject {
    let mut names = vec![("Pod".to_owned(), name(pod).to_owned())];
    let mut owner = controller(storage, pod);
    while let Some(object) = owner.filter(|_| names.len() < 6) {
        names.push((kind(&object).to_owned(), name(&object).to_owned()));
        owner = controller(storage, &object);
    }
    Subject {
        namespace: namespace(pod).to_owned(),
        names,
        labels: text_map(pod, "/metadata/labels"),
    }
}

/// A container's image and environment, with values from config maps filled in.
pub(crate) fn container_facts(storage: &Storage, pod: &Value, spec: &Value) -> ContainerFacts {
    let mut env = BTreeMap::new();
    let config = |map: &str| storage.get("configmaps", Some(namespace(pod)), map);
    for source in items(spec, "/envFrom") {
        let data = config(text(source, "/configMapRef/name"));
        let prefix = text(source, "/prefix");
        let values = data.map(|data| text_map(&data, "/data")).unwrap_or_default();
        env.extend(values.into_iter().map(|(key, value)| (format!("{prefix}{key}"), value)));
    }
    for variable in items(spec, "/env") {
        let value = match variable.pointer("/valueFrom/configMapKeyRef") {
            Some(from) => config(text(from, "/name"))
                .and_then(|map| Some(map["data"].get(text(from, "/key"))?.as_str()?.to_owned())),
            None => variable.get("value").and_then(Value::as_str).map(str::to_owned),
        };
        if let Some(value) = value {
            env.insert(text(variable, "/name").to_owned(), value);
        }
    }
    ContainerFacts { image: text(spec, "/image").to_owned(), env }
}

/// What will become of one container.
pub(super) fn of(view: &View<'_>, pod: &Value, spec: &Value) -> Fate {
    let registry = view.settings.registry.as_ref();
    let mut fate = Fate {
        blocked: missing_reference(view, pod, spec),
        image: image::find(text(spec, "/image"), registry).err(),
        hasty: view.settings.start.is_zero(),
        ..Fate::default()
    };
    let all = view.faults.all();
    if all.is_empty() {
        return fate;
    }
    let subject = subject(view.storage, pod);
    let facts = container_facts(view.storage, pod, spec);
    for injected in all.iter().filter(|one| one.fault.select.matches(&subject, Some(&facts))) {
        befall(&mut fate, injected, spec);
    }
    fate
}

/// Adds one fault's effect to a container's fate.
fn befall(fate: &mut Fate, injected: &Injected, spec: &Value) {
    let since = injected.since;
    match &injected.fault.effect {
        Effect::BadImage => fate.image = fate.image.take().or(Some(image::Unavailable::NotFound)),
        Effect::CrashLoop { exit_code, after_seconds, .. } => {
            let reason = if *exit_code == 0 { "Completed" } else { "Error" };
            let after = seconds(*after_seconds.max(&0));
            fate.end = Some(End { after, since: Timestamp::MIN, exit_code: *exit_code, reason });
        }
        Effect::OutOfMemory { peak, seconds: over } => {
            let limit = demand::limit(spec, "memory");
            if let Some(after) = time_to_limit(peak.as_deref(), *over, limit) {
                fate.end = Some(End { after, since, exit_code: 137, reason: "OOMKilled" });
            }
        }
        Effect::FailReadiness { status } => fate.unready = Some(*status),
        Effect::FailLiveness { status } => fate.unlive = Some((*status, since)),
        Effect::SlowStart { seconds: slow } => fate.slow = Some(seconds(*slow)),
        Effect::Unschedulable { .. }
        | Effect::NodeNotReady
        | Effect::NodePressure { .. }
        | Effect::StuckTermination
        | Effect::Load { .. } => {}
    }
}

/// How long growing memory takes to reach the limit; `None` when it never does.
fn time_to_limit(peak: Option<&str>, over: i64, limit: Option<Quantity>) -> Option<SignedDuration> {
    let limit = limit?;
    let Some(peak) = peak.and_then(Quantity::parse) else { return Some(seconds(over)) };
    if peak <= limit {
        return None;
    }
    let share = limit.as_whole().checked_mul(over.max(0))?.checked_div(peak.as_whole())?;
    Some(seconds(share))
}

/// A process that does its work and ends well.
pub(super) fn completion(after: SignedDuration, since: Timestamp) -> End {
    End { after, since, exit_code: 0, reason: "Completed" }
}

/// Whether a fault keeps the pod from ending.
pub(super) fn is_stuck(view: &View<'_>, pod: &Value) -> bool {
    let all = view.faults.all();
    let mut stuck =
        all.iter().filter(|one| one.fault.effect == Effect::StuckTermination).peekable();
    if stuck.peek().is_none() {
        return false;
    }
    let subject = subject(view.storage, pod);
    let containers = items(pod, "/spec/containers");
    let facts: Vec<ContainerFacts> =
        containers.iter().map(|spec| container_facts(view.storage, pod, spec)).collect();
    stuck.any(|one| facts.iter().any(|facts| one.fault.select.matches(&subject, Some(facts))))
}

/// The first config map or secret the container's environment needs and that is not there.
fn missing_reference(view: &View<'_>, pod: &Value, spec: &Value) -> Option<(&'static str, String)> {
    let missing = |source: &Value, key: bool, (resource, word): (&str, &str)| {
        if source.is_null() || source["optional"] == true {
            return None;
        }
        let wanted = text(source, "/name");
        let Some(found) = view.get(resource, namespace(pod), wanted) else {
            return Some(format!("{word} \"{wanted}\" not found"));
        };
        let at = text(source, "/key");
        let has =
            ["data", "binaryData", "stringData"].iter().any(|data| found[*data].get(at).is_some());
        let title = if word == "secret" { "Secret" } else { "ConfigMap" };
        (key && !has)
            .then(|| format!("couldn't find key {at} in {title} {}/{wanted}", namespace(pod)))
    };
    const CONFIG: (&str, &str) = ("configmaps", "configmap");
    const SECRET: (&str, &str) = ("secrets", "secret");
    let from_env = items(spec, "/envFrom").iter().flat_map(|source| {
        [
            missing(&source["configMapRef"], false, CONFIG),
            missing(&source["secretRef"], false, SECRET),
        ]
    });
    let from_keys = items(spec, "/env").iter().flat_map(|variable| {
        let from = &variable["valueFrom"];
        [
            missing(&from["configMapKeyRef"], true, CONFIG),
            missing(&from["secretKeyRef"], true, SECRET),
        ]
    });
    let why = from_env.chain(from_keys).flatten().next()?;
    Some(("CreateContainerConfigError", why))
}

/// Why the pod's volumes cannot be mounted.
pub(super) fn mount_failure(view: &View<'_>, pod: &Value) -> Option<String> {
    items(pod, "/spec/volumes").iter().find_map(|volume| {
        let direct = [
            ("configmaps", "configmap", &volume["configMap"], "name"),
            ("secrets", "secret", &volume["secret"], "secretName"),
        ];
        let projected = items(volume, "/projected/sources").iter().flat_map(|source| {
            [
                ("configmaps", "configmap", &source["configMap"], "name"),
                ("secrets", "secret", &source["secret"], "name"),
            ]
        });
        direct.into_iter().chain(projected).find_map(|(resource, word, source, field)| {
            let wanted = source.get(field)?.as_str()?;
            let there =
                source["optional"] == true || view.get(resource, namespace(pod), wanted).is_some();
            (!there).then(|| {
                format!(
                    "MountVolume.SetUp failed for volume \"{}\" : {word} \"{wanted}\" not found",
                    name_of(volume)
                )
            })
        })
    })
}

fn name_of(volume: &Value) -> &str {
    text(volume, "/name")
}
