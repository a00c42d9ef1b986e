//! One revision of the repository, understood: its units and what they render to.

use std::collections::BTreeMap;

use super::{
    render::{Rendered, render},
    tree::Tree,
    unit::{SourceError, Unit, discover},
};
use crate::domain::ObjectRef;

/// A revision with everything its units declare.
#[derive(Debug, Clone, Default)]
pub struct Source {
    /// The files.
    pub tree: Tree,
    /// The units, those that cannot be rendered included.
    pub units: Vec<Unit>,
    /// What each unit renders to, by unit name; a unit that cannot be rendered is missing.
    pub rendered: BTreeMap<String, Vec<Rendered>>,
    /// Units that cannot be rendered, by name, and why. They are left alone; the others work.
    pub broken: BTreeMap<String, SourceError>,
}

impl Source {
    /// Discovers and renders every unit of `tree`.
    ///
    /// # Errors
    /// When the units cannot even be told; a single unit that does not render is in `broken`.
    pub fn read(tree: Tree) -> Result<Self, SourceError> {
        let units = discover(&tree)?;
        let (mut rendered, mut broken) = (BTreeMap::new(), BTreeMap::new());
        for unit in &units {
            match render(&tree, unit) {
                Ok(objects) => drop(rendered.insert(unit.name.clone(), objects)),
                Err(error) => drop(broken.insert(unit.name.clone(), error)),
            }
        }
        Ok(Self { tree, units, rendered, broken })
    }

    /// The unit of that name.
    #[must_use]
    pub fn unit(&self, name: &str) -> Option<&Unit> {
        self.units.iter().find(|unit| unit.name == name)
    }

    /// Every unit that declares `object`, with the declaration.
    pub fn declarations<'a>(
        &'a self,
        object: &'a ObjectRef,
    ) -> impl Iterator<Item = (&'a Unit, &'a Rendered)> {
        self.units.iter().flat_map(move |unit| {
            let objects = self.rendered.get(&unit.name).into_iter().flatten();
            objects.filter(move |r| r.object == *object).map(move |r| (unit, r))
        })
    }
}
