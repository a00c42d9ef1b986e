//! What a message forbids beside what it commands: the same thing, or another one.

use super::{
    clause::{Clause, is_value},
    draft::Draft,
    lexicon::Sense,
    mood::tells_what_was_not,
    names::Names,
    read,
    scan::Item,
};

/// "scale a to 5, but don't touch b" goes through; "scale a to 5, don't restart a" has to be asked about.
pub(super) fn forbids_the_same(clause: &Clause, drafts: &[Draft], names: &Names) -> bool {
    let part = read::draft(&clause.items, names);
    // "don't restart it, only scale it" forbids another verb
    let other = |draft: &Draft| !draft.verbs.iter().any(|verb| part.verbs.contains(verb));
    if part.verbs.len() == 1 && drafts.iter().all(other) {
        return false;
    }
    // "not prod, staging: ..." only says where not
    let place = |i: &Item| {
        matches!(i.sense(), Some(Sense::Env(_))) || i.name().is_some_and(|n| n.workloads.is_empty())
    };
    if part.verbs.is_empty() && part.targets.is_empty() && clause.items.iter().any(place) {
        return false;
    }
    // "2.7.1, by no means 2.7.0"
    let values: Vec<&str> =
        clause.items.iter().filter(|i| is_value(i)).map(|i| i.text.as_str()).collect();
    let said = |value: &&str| {
        drafts.iter().any(|d| d.images.iter().any(|image| image.trim_start_matches(':') == *value))
    };
    if part.targets.is_empty() && !values.is_empty() && !values.iter().any(said) {
        return drafts.iter().any(|d| d.images.is_empty());
    }
    // "leave the sidecar where it is"
    let targets: Vec<String> =
        drafts.iter().flat_map(|d| &d.targets).flat_map(|t| t.names.clone()).collect();
    let other_container = |(word, _): &(String, Vec<String>)| {
        names.has_container(&targets, word)
            && drafts.iter().all(|d| d.container.as_ref() != Some(word))
    };
    if part.targets.is_empty() && part.unknown.iter().any(other_container) {
        return false;
    }
    // "we did not need it" tells why
    if part.verbs.is_empty() && tells_what_was_not(&clause.items) {
        return false;
    }
    // "nobody uses x" tells why
    let nobody = |i: &Item| matches!(i.text.to_lowercase().as_str(), "nobody" | "no one" | "noone");
    if part.verbs.is_empty() && clause.items.iter().any(nobody) {
        return false;
    }
    // "the limit stays as it is" is about something else than what is changed
    use Sense::{Cpu, EnvVar, Image, Limit, Memory, Replicas, Request};
    let attribute = [Cpu, EnvVar, Image, Limit, Memory, Replicas, Request];
    let attribute = clause.items.iter().any(|i| attribute.iter().any(|sense| i.is(*sense)));
    if part.verbs.is_empty() && part.targets.is_empty() && attribute {
        return false;
    }
    // "x in prod to 1.2, not yet in staging"
    let elsewhere = |d: &Draft| {
        let groups = d.place.groups.iter().any(|g| part.place.groups.contains(g));
        let named = d.place.environments.iter().any(|e| part.place.environments.contains(e))
            || d.place.namespaces.iter().any(|n| part.place.namespaces.contains(n));
        !d.place.is_empty() && !groups && !named
    };
    if !part.place.is_empty() && part.targets.is_empty() && drafts.iter().all(elsewhere) {
        return false;
    }
    // "the main container's version stays", where another one is changed
    let other = |d: &Draft| d.container.is_some() && d.container != part.container;
    if part.container.is_some() && drafts.iter().all(other) {
        return false;
    }
    // "leave the main container alone", 主容器别动
    if part.targets.is_empty() && clause.items.iter().any(|i| i.is(Sense::Container)) {
        return false;
    }
    if clause.items.iter().any(|i| i.is(Sense::Others)) && part.targets.is_empty() {
        return false;
    }
    let commanded =
        |name: &String| drafts.iter().any(|d| d.targets.iter().any(|t| t.names.contains(name)));
    part.targets.is_empty() || part.targets.iter().flat_map(|t| &t.names).any(commanded)
}
