//! The proof: everything is rendered before and after, and nothing but the intended may differ.

use serde_json::Value;

use super::ProposeError;
use crate::domain::ObjectRef;
use crate::gitops::{
    diff,
    render::{self, Rendered},
    tree::Tree,
    unit::{SourceError, Unit},
};

/// A tree with what its units render to.
#[derive(Clone)]
pub(super) struct World<'a> {
    pub(super) tree: Tree,
    pub(super) units: &'a [Unit],
    rendered: Vec<Result<Vec<Rendered>, SourceError>>,
}

impl<'a> World<'a> {
    pub(super) fn render(tree: &Tree, units: &'a [Unit]) -> Self {
        let rendered = units.iter().map(|unit| render::render(tree, unit)).collect();
        Self { tree: tree.clone(), units, rendered }
    }

    /// This world after a proven step.
    pub(super) fn moved_to(&self, tree: Tree) -> Self {
        Self::render(&tree, self.units)
    }

    /// Every object of every unit that renders.
    pub(super) fn objects(&self) -> impl Iterator<Item = (&'a Unit, &Rendered)> {
        self.units
            .iter()
            .zip(&self.rendered)
            .flat_map(|(unit, rendered)| rendered.iter().flatten().map(move |one| (unit, one)))
    }

    /// The object as the unit declares it.
    pub(super) fn declared(&self, unit: &Unit, object: &ObjectRef) -> Option<&Rendered> {
        self.objects()
            .find(|(other, one)| *other == unit && one.object == *object)
            .map(|(_, one)| one)
    }

    /// The one unit that declares the object.
    pub(super) fn find(&self, object: &ObjectRef) -> Result<(&'a Unit, &Rendered), ProposeError> {
        let found: Vec<_> = self.objects().filter(|(_, one)| one.object == *object).collect();
        match found.as_slice() {
            [one] => Ok(*one),
            [] => Err(ProposeError::NotFound(self.missing(object))),
            several => {
                let places: Vec<String> = several
                    .iter()
                    .map(|(unit, one)| format!("{} ({}:{})", unit.name, one.file, one.line))
                    .collect();
                Err(ProposeError::NotFound(format!(
                    "{object} is declared by several units: {}; leave one of them in the repository",
                    places.join(", ")
                )))
            }
        }
    }

    fn missing(&self, object: &ObjectRef) -> String {
        let mut text = format!("{object} is not declared in the repository");
        let namesakes: Vec<String> = self
            .objects()
            .filter(|(_, one)| one.object.name == object.name && one.object.kind == object.kind)
            .map(|(unit, one)| format!("{} in unit {}", one.object, unit.name))
            .collect();
        if !namesakes.is_empty() {
            text.push_str(&format!("; there is {}", namesakes.join(", ")));
        }
        for (unit, rendered) in self.units.iter().zip(&self.rendered) {
            if let Err(error) = rendered {
                text.push_str(&format!("; unit {} does not render ({error})", unit.name));
            }
        }
        text
    }

    /// Whether in `after` the object of `unit` is as wanted and nothing else differs; says what would, otherwise.
    pub(super) fn prove(
        &self,
        after: &Tree,
        unit: &Unit,
        object: &ObjectRef,
        wanted: &Value,
    ) -> Result<(), String> {
        // the unit itself first: most wrong attempts end there
        let mut order: Vec<_> = self.units.iter().zip(&self.rendered).collect();
        order.sort_by_key(|(other, _)| *other != unit);
        for (other, before) in order {
            let Ok(before) = before else { continue };
            let rendered = render::render(after, other)
                .map_err(|error| format!("would break unit {} ({error})", other.name))?;
            if rendered.len() != before.len() {
                return Err(format!("would add or remove objects of unit {}", other.name));
            }
            for (old, new) in before.iter().zip(&rendered) {
                let is_target = other == unit && old.object == *object;
                let expected = if is_target { wanted } else { &old.value };
                let fields = diff::fields(expected, &new.value);
                if let Some(field) = fields.first() {
                    let path = &field.path;
                    return Err(match is_target {
                        true => {
                            format!("would not do: {path} of {object} would not be as asked for")
                        }
                        false => format!(
                            "would also change {path} of {} in unit {}",
                            old.object, other.name
                        ),
                    });
                }
            }
        }
        Ok(())
    }
}
