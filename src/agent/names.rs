//! The inventory's names as operators write them: exact, whatever the case and the separators, and near misses.

use std::collections::HashMap;

use crate::domain::{Inventory, Workload};

/// What a word of the request names. Several workloads of one name in different namespaces are one name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Name {
    /// Names of workloads; more than one when an alias or a loose spelling fits several.
    pub(super) workloads: Vec<String>,
    /// A namespace.
    pub(super) namespace: Option<String>,
    /// An environment.
    pub(super) environment: Option<String>,
    /// Names of other objects.
    pub(super) others: Vec<String>,
}

impl Name {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn merge(&mut self, other: &Self) {
        for name in &other.workloads {
            push(&mut self.workloads, name);
        }
        for name in &other.others {
            push(&mut self.others, name);
        }
        self.namespace = self.namespace.take().or_else(|| other.namespace.clone());
        self.environment = self.environment.take().or_else(|| other.environment.clone());
    }
}

fn push(list: &mut Vec<String>, name: &str) {
    if !list.iter().any(|n| n == name) {
        list.push(name.to_owned());
    }
}

/// Looks names up.
pub(super) struct Names<'a> {
    exact: HashMap<String, Name>,
    loose: HashMap<String, Name>,
    inventory: &'a Inventory,
}

impl<'a> Names<'a> {
    /// Indexes an inventory.
    pub(super) fn of(inventory: &'a Inventory) -> Self {
        let mut names = Self { exact: HashMap::new(), loose: HashMap::new(), inventory };
        for workload in &inventory.workloads {
            let name = &workload.object.name;
            names.add(name, |entry| push(&mut entry.workloads, name));
        }
        for namespace in &inventory.namespaces {
            names.add(namespace, |entry| entry.namespace = Some(namespace.clone()));
        }
        for environment in &inventory.environments {
            names.add(environment, |entry| entry.environment = Some(environment.clone()));
        }
        for other in &inventory.others {
            names.add(&other.name, |entry| push(&mut entry.others, &other.name));
        }
        names.add_aliases();
        names.add_short_environments();
        names
    }

    /// An alias counts only where no workload has it as its name.
    fn add_aliases(&mut self) {
        for workload in &self.inventory.workloads {
            for alias in &workload.aliases {
                let taken = self.inventory.workloads.iter().any(|w| same(&w.object.name, alias));
                if !taken {
                    let name = &workload.object.name;
                    self.add(alias, |entry| push(&mut entry.workloads, name));
                }
            }
        }
    }

    /// `drill` for `ward-drill`, where no other environment or object is called that.
    fn add_short_environments(&mut self) {
        let environments = &self.inventory.environments;
        let parts = |name: &'a String| name.split(['-', '_', '.', '/']);
        for environment in environments.iter().filter(|name| parts(name).count() > 1) {
            for part in parts(environment) {
                let shared = environments.iter().filter(|e| parts(e).any(|p| same(p, part)));
                let word = super::lexicon::english(&part.to_lowercase()).is_some();
                let known = word || self.find(part).is_some();
                if part.len() >= 3 && shared.count() == 1 && !known {
                    self.add(part, |entry| entry.environment = Some(environment.clone()));
                }
            }
        }
    }

    fn add(&mut self, said: &str, set: impl Fn(&mut Name)) {
        set(self.exact.entry(said.to_lowercase()).or_default());
        set(self.loose.entry(stripped(said)).or_default());
    }

    /// The name a word is, whatever its case; a spelling with other separators counts when no exact name fits.
    pub(super) fn find(&self, word: &str) -> Option<Name> {
        let lower = word.to_lowercase();
        let found = self.exact.get(&lower).or_else(|| {
            // only a word that joins parts may be spelled with other separators
            self.loose.get(&stripped(&lower)).filter(|_| lower.len() > 3)
        });
        found.filter(|n| !n.is_empty()).cloned()
    }

    /// The workload of which several are spoken of: `gateways`.
    pub(super) fn find_plural(&self, word: &str) -> Option<Name> {
        let one = self.exact.get(word.to_lowercase().strip_suffix('s')?)?;
        (!one.workloads.is_empty()).then(|| one.clone())
    }

    /// A name written as several words: `payment gateway` for `payment-gateway`.
    pub(super) fn find_spaced(&self, words: &[&str]) -> Option<Name> {
        let mut found = self.loose.get(&stripped(&words.concat())).cloned()?;
        // "order service" may also be the service "order": both are offered
        let all_known = words[1..].iter().all(|w| super::lexicon::english(w).is_some());
        if let (true, Some(first)) = (all_known, self.exact.get(&words[0].to_lowercase()))
            && !first.workloads.is_empty()
        {
            found.merge(first);
        }
        (!found.is_empty()).then_some(found)
    }

    /// The longest name or alias with Han characters that `text` starts with, and its length in characters.
    pub(super) fn find_han(&self, text: &str) -> Option<(Name, usize)> {
        let fits = |(said, _): &(&String, &Name)| {
            said.chars().any(super::text::is_han) && text.starts_with(said.as_str())
        };
        let (said, name) = self.exact.iter().filter(fits).max_by_key(|(said, _)| said.len())?;
        Some((name.clone(), said.chars().count()))
    }

    /// How many characters at the beginning of `text` are only a part of a Han alias: 网关 of 支付网关.
    pub(super) fn part_of_han(&self, text: &str) -> Option<usize> {
        let ends: Vec<usize> = text.char_indices().map(|(at, c)| at + c.len_utf8()).collect();
        let part = |count: &usize| {
            let said = &text[..ends[count - 1]];
            let of = |(alias, name): (&String, &Name)| {
                let most = *count >= 3 && alias.starts_with(said);
                !name.workloads.is_empty()
                    && alias.as_str() != said
                    && (most || alias.ends_with(said))
            };
            said.chars().all(super::text::is_han) && self.exact.iter().any(of)
        };
        (2..=ends.len().min(6)).rev().find(part)
    }

    /// Names of workloads that an unknown word may have meant, best first, at most five.
    pub(super) fn near(&self, word: &str) -> Vec<String> {
        let named = self.inventory.workloads.iter().flat_map(|workload| {
            let name = workload.object.name.as_str();
            let aliases = workload.aliases.iter().map(move |alias| (alias.as_str(), name));
            std::iter::once((name, name)).chain(aliases)
        });
        near(word, named)
    }

    /// Workloads that declare an environment variable.
    pub(super) fn declaring(&self, key: &str) -> Vec<String> {
        let declares = |w: &&Workload| w.containers.iter().any(|c| c.env.iter().any(|e| e == key));
        let mut found: Vec<String> = Vec::new();
        for workload in self.inventory.workloads.iter().filter(declares) {
            push(&mut found, &workload.object.name);
        }
        found
    }

    /// Whether one of these workloads has a container of that name.
    pub(super) fn has_container(&self, workloads: &[String], container: &str) -> bool {
        let named = |w: &&Workload| workloads.contains(&w.object.name);
        let has = |w: &Workload| w.containers.iter().any(|c| same(&c.name, container));
        self.inventory.workloads.iter().filter(named).any(has)
    }
}

/// Near misses: a few letters off, or one of them contains the other as a part. `names` are what is said and whom it names.
fn near<'n>(word: &str, names: impl Iterator<Item = (&'n str, &'n str)>) -> Vec<String> {
    let word = word.to_lowercase();
    let letters = word.chars().count();
    if letters < 2 {
        return Vec::new();
    }
    let allowed = if letters <= 4 { 1 } else { 2 };
    let mut found: Vec<(usize, &str)> = Vec::new();
    for (said, name) in names {
        let lower = said.to_lowercase();
        let distance = strsim::damerau_levenshtein(&stripped(&word), &stripped(&lower));
        let part = |whole: &str, part: &str| {
            let is_word = whole.split(['-', '_', '.']).any(|piece| piece == part);
            is_word || (part.len() >= 4 && whole.contains(part))
        };
        let singular = word.strip_suffix('s').filter(|s| s.len() >= 4);
        let rank = if distance <= allowed && distance < letters {
            distance
        } else if part(&lower, &word)
            || part(&word, &lower)
            || singular.is_some_and(|singular| part(&lower, singular))
        {
            3
        } else {
            continue;
        };
        match found.iter_mut().find(|(_, n)| *n == name) {
            Some((known, _)) => *known = rank.min(*known),
            None => found.push((rank, name)),
        }
    }
    found.sort_by_key(|(rank, _)| *rank);
    found.into_iter().take(5).map(|(_, name)| name.to_owned()).collect()
}

fn stripped(name: &str) -> String {
    name.chars()
        .filter(|c| !matches!(c, '-' | '_' | '.' | ' '))
        .flat_map(char::to_lowercase)
        .collect()
}

fn same(a: &str, b: &str) -> bool {
    a.eq_ignore_ascii_case(b)
}
