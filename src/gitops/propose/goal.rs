//! From an operation to the fields that are to change, checked against what the object is.

use std::{collections::BTreeMap, fmt};

use serde_json::{Value, json};

use super::{
    ProposeError,
    image::Image,
    proof::World,
    steps::{get, join, path, remove, set},
};
use crate::{
    domain::{ObjectRef, Operation},
    gitops::{
        edit::{Path, Step},
        render::Rendered,
    },
};

/// The fields of one object that are to change.
pub(super) struct Goal {
    pub(super) target: ObjectRef,
    pub(super) groups: Vec<Group>,
}

/// Fields that change together, in one edit.
#[derive(Debug, Clone)]
pub(super) struct Group {
    pub(super) fields: Vec<Field>,
}

/// One field and what it is to be; `None`: gone.
#[derive(Debug, Clone)]
pub(super) struct Field {
    pub(super) path: Path,
    pub(super) value: Option<Value>,
}

impl Group {
    fn one(path: Path, value: Option<Value>) -> Self {
        Self { fields: vec![Field { path, value }] }
    }

    /// Makes the change in a value.
    pub(super) fn apply(&self, object: &mut Value) {
        for field in &self.fields {
            match &field.value {
                Some(value) => set(object, &field.path, value.clone()),
                None => remove(object, &field.path),
            }
        }
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(field) = self.fields.first() else { return Ok(()) };
        for step in &field.path {
            match step {
                Step::Key(key) => write!(f, ".{key}")?,
                Step::Index(index) => write!(f, "[{index}]")?,
                Step::Where { value, .. } => write!(f, "[{value}]")?,
            }
        }
        Ok(())
    }
}

/// Whom an operation is about.
pub(super) fn target(operation: &Operation) -> Result<&ObjectRef, ProposeError> {
    match operation {
        Operation::Scale { target, .. }
        | Operation::SetImage { target, .. }
        | Operation::SetEnv { target, .. }
        | Operation::SetResources { target, .. }
        | Operation::Restart { target, .. } => Ok(target),
        Operation::Rollback { .. } | Operation::Undo { .. } => {
            Err(ProposeError::Invalid("this operation needs the repository's history".to_owned()))
        }
    }
}

/// What the operation means for the object, best first; at least one, none of them empty.
pub(super) fn of(
    operation: &Operation,
    world: &World<'_>,
    declared: &Rendered,
) -> Result<Vec<Goal>, ProposeError> {
    let alternatives = match operation {
        Operation::Scale { replicas, .. } => vec![scale(world, declared, *replicas)?],
        Operation::SetImage { container, image, .. } => {
            set_image(declared, container.as_deref(), image)?
        }
        Operation::SetEnv { container, set, unset, .. } => {
            vec![set_env(declared, container.as_deref(), set, unset)?]
        }
        Operation::SetResources { container, requests, limits, .. } => {
            vec![set_resources(declared, container.as_deref(), requests, limits)?]
        }
        Operation::Restart { at, .. } => {
            let annotation = ["metadata", "annotations", "kubectl.kubernetes.io/restartedAt"];
            let restarted = at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
            vec![vec![Group::one(
                join(&template(declared)?, &path(&annotation)),
                Some(json!(restarted)),
            )]]
        }
        Operation::Rollback { .. } | Operation::Undo { .. } => Vec::new(),
    };
    let mut goals = Vec::new();
    for mut groups in alternatives {
        groups.retain(|group| {
            let mut after = declared.value.clone();
            group.apply(&mut after);
            after != declared.value
        });
        if !groups.is_empty() {
            goals.push(Goal { target: declared.object.clone(), groups });
        }
    }
    if goals.is_empty() {
        let Rendered { object, file, line, .. } = declared;
        return Err(ProposeError::NoChange(format!(
            "{object} is already so in the repository ({file}:{line})"
        )));
    }
    Ok(goals)
}

/// Kinds that make pods but are not scaled by a number.
const UNSCALED: &[(&str, &str)] = &[
    (
        "DaemonSet",
        "it runs one pod on every matching node; change its nodeSelector or the nodes' labels",
    ),
    ("Job", "it runs to completion; its parallelism is fixed when it is made"),
    ("CronJob", "it starts jobs by its schedule"),
    ("Pod", "it is a single pod; scale the workload that owns it"),
];

fn scale(
    world: &World<'_>,
    declared: &Rendered,
    replicas: u32,
) -> Result<Vec<Group>, ProposeError> {
    let object = &declared.object;
    if let Some((kind, why)) = UNSCALED.iter().find(|(kind, _)| *kind == object.kind) {
        return Err(ProposeError::Invalid(format!("a {kind} has no replicas: {why}")));
    }
    let scaled = matches!(
        object.kind.as_str(),
        "Deployment" | "StatefulSet" | "ReplicaSet" | "ReplicationController"
    );
    if !scaled && !declared.value["spec"]["replicas"].is_number() {
        return Err(ProposeError::Invalid(format!("{object} has no replicas")));
    }
    if let Some(scaler) = world.objects().map(|(_, one)| one).find(|one| scales(one, object)) {
        let spec = &scaler.value["spec"];
        let bound =
            |names: [&str; 2]| names.iter().find_map(|name| spec[*name].as_u64()).unwrap_or(1);
        let (min, max) =
            (bound(["minReplicas", "minReplicaCount"]), bound(["maxReplicas", "maxReplicaCount"]));
        return Err(ProposeError::Invalid(format!(
            "{} is scaled automatically between {min} and {max} replicas by {} {} ({}:{}), which would overrule a fixed \
             number; change its minimum or maximum there instead",
            object.name, scaler.object.kind, scaler.object.name, scaler.file, scaler.line
        )));
    }
    Ok(vec![Group::one(path(&["spec", "replicas"]), Some(json!(replicas)))])
}

/// Whether `scaler` is an autoscaler of `object`.
fn scales(scaler: &Rendered, object: &ObjectRef) -> bool {
    let reference = &scaler.value["spec"]["scaleTargetRef"];
    matches!(scaler.object.kind.as_str(), "HorizontalPodAutoscaler" | "ScaledObject")
        && scaler.object.namespace == object.namespace
        && reference["name"] == object.name.as_str()
        && reference["kind"].as_str().unwrap_or("Deployment") == object.kind
}

/// The path of the pod template.
fn template(declared: &Rendered) -> Result<Path, ProposeError> {
    let steps: &[&str] = match declared.object.kind.as_str() {
        "CronJob" => &["spec", "jobTemplate", "spec", "template"],
        "Pod" => &[],
        _ => &["spec", "template"],
    };
    let template = path(steps);
    if get(&declared.value, &join(&template, &path(&["spec", "containers"]))).is_none() {
        return Err(ProposeError::Invalid(format!("{} has no containers", declared.object)));
    }
    Ok(template)
}

fn names(list: Option<&Value>) -> Vec<&str> {
    list.and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|one| one["name"].as_str())
        .collect()
}

/// The path of the container that is meant.
fn container(declared: &Rendered, wanted: Option<&str>) -> Result<Path, ProposeError> {
    let spec = join(&template(declared)?, &path(&["spec"]));
    let of = |list: &str| names(get(&declared.value, &join(&spec, &path(&[list]))));
    let (containers, init) = (of("containers"), of("initContainers"));
    let listed = || [containers.as_slice(), init.as_slice()].concat().join(", ");
    let (list, name) = match wanted {
        None => match containers.as_slice() {
            [one] => ("containers", *one),
            _ => {
                let message = format!(
                    "{} has several containers: {}; say which one",
                    declared.object,
                    listed()
                );
                return Err(ProposeError::Invalid(message));
            }
        },
        Some(name) if containers.contains(&name) => ("containers", name),
        Some(name) if init.contains(&name) => ("initContainers", name),
        Some(name) => {
            let message =
                format!("{} has no container '{name}'; it has {}", declared.object, listed());
            return Err(ProposeError::Invalid(message));
        }
    };
    Ok(join(
        &spec,
        &[
            Step::Key(list.to_owned()),
            Step::Where { key: "name".to_owned(), value: name.to_owned() },
        ],
    ))
}

/// The container's image. Init containers that run the very same image are the same program (they migrate its database,
/// say), so they move along; where the repository does not allow that, the container moves alone.
fn set_image(
    declared: &Rendered,
    wanted: Option<&str>,
    asked: &str,
) -> Result<Vec<Vec<Group>>, ProposeError> {
    let image = join(&container(declared, wanted)?, &path(&["image"]));
    let current = get(&declared.value, &image).and_then(Value::as_str).unwrap_or_default();
    let new = Image::asked(asked, current).map_err(ProposeError::Invalid)?;
    let alone = Group::one(image.clone(), Some(json!(new)));
    let inits = join(&template(declared)?, &path(&["spec", "initContainers"]));
    let mut together = alone.clone();
    for init in get(&declared.value, &inits).and_then(Value::as_array).into_iter().flatten() {
        let Some(name) = init["name"].as_str().filter(|_| init["image"] == current) else {
            continue;
        };
        let of_init = [
            Step::Where { key: "name".to_owned(), value: name.to_owned() },
            Step::Key("image".to_owned()),
        ];
        let at = join(&inits, &of_init);
        if at != image {
            together.fields.push(Field { path: at, value: Some(json!(new)) });
        }
    }
    Ok(vec![vec![together], vec![alone]])
}

fn set_env(
    declared: &Rendered,
    wanted: Option<&str>,
    set: &BTreeMap<String, String>,
    unset: &[String],
) -> Result<Vec<Group>, ProposeError> {
    let container = container(declared, wanted)?;
    let env = join(&container, &path(&["env"]));
    let variable =
        |name: &str| join(&env, &[Step::Where { key: "name".to_owned(), value: name.to_owned() }]);
    let mut groups = Vec::new();
    for (name, value) in set {
        let legal = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
        if name.is_empty()
            || !name.chars().all(legal)
            || name.starts_with(|c: char| c.is_ascii_digit())
        {
            return Err(ProposeError::Invalid(format!(
                "'{name}' cannot name an environment variable"
            )));
        }
        if unset.contains(name) {
            return Err(ProposeError::Invalid(format!(
                "'{name}' cannot be set and removed at once"
            )));
        }
        if let Some(from) =
            get(&declared.value, &variable(name)).and_then(|one| one.get("valueFrom"))
        {
            return Err(ProposeError::Invalid(format!(
                "the variable '{name}' of {} is not literal but taken from {}; change it there",
                declared.object,
                source(from)
            )));
        }
        groups.push(Group::one(join(&variable(name), &path(&["value"])), Some(json!(value))));
    }
    for name in unset {
        groups.push(Group::one(variable(name), None));
    }
    Ok(groups)
}

/// What a `valueFrom` names.
fn source(from: &Value) -> String {
    for (field, what) in [("configMapKeyRef", "the config map"), ("secretKeyRef", "the secret")] {
        if let Some(name) = from[field]["name"].as_str() {
            return format!("{what} '{name}'");
        }
    }
    "the pod itself".to_owned()
}

fn set_resources(
    declared: &Rendered,
    wanted: Option<&str>,
    requests: &BTreeMap<String, String>,
    limits: &BTreeMap<String, String>,
) -> Result<Vec<Group>, ProposeError> {
    let resources = join(&container(declared, wanted)?, &path(&["resources"]));
    let mut groups = Vec::new();
    for (section, quantities) in [("requests", requests), ("limits", limits)] {
        for (name, quantity) in quantities {
            if !is_quantity(quantity) {
                let message =
                    format!("'{quantity}' is not a quantity; write 500m, 2, 256Mi or 1Gi");
                return Err(ProposeError::Invalid(message));
            }
            let at = join(&resources, &[Step::Key(section.to_owned()), Step::Key(name.clone())]);
            let current = get(&declared.value, &at);
            // a number and its text are the same quantity
            if current.is_some_and(|value| {
                value.as_str().map_or_else(|| value.to_string(), str::to_owned) == *quantity
            }) {
                continue;
            }
            groups.push(Group::one(at, Some(json!(quantity))));
        }
    }
    Ok(groups)
}

/// Whether the text is a Kubernetes quantity that is not negative.
fn is_quantity(text: &str) -> bool {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let suffix = &text[digits.len()..];
    let number = digits.starts_with(|c: char| c.is_ascii_digit()) && digits.parse::<f64>().is_ok();
    let suffixes =
        ["", "m", "u", "n", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
    number && suffixes.contains(&suffix)
}
