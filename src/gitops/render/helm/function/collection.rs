//! Functions on lists and mappings.

use std::collections::BTreeMap;

use super::{Args, Outcome};
use crate::gitops::render::helm::value::{Map, Val};

pub(super) fn call(name: &str, args: Args<'_>) -> Option<Outcome> {
    lists(name, args).or_else(|| parts(name, args)).or_else(|| mappings(name, args))
}

fn lists(name: &str, args: Args<'_>) -> Option<Outcome> {
    let changed = |f: &dyn Fn(&mut Vec<Val>)| {
        args.list(0).map(|mut items| {
            f(&mut items);
            Val::list(items)
        })
    };
    Some(match name {
        "list" | "tuple" => Ok(Val::list(args.0.to_vec())),
        "append" | "push" => {
            args.any(1).and_then(|item| changed(&|items| items.push(item.clone())))
        }
        "prepend" => args.any(1).and_then(|item| changed(&|items| items.insert(0, item.clone()))),
        "concat" => (0..args.0.len())
            .map(|index| args.list(index))
            .collect::<Result<Vec<_>, _>>()
            .map(|all| Val::list(all.concat())),
        "first" => args.list(0).map(|items| items.first().cloned().unwrap_or(Val::Nil)),
        "last" => args.list(0).map(|items| items.last().cloned().unwrap_or(Val::Nil)),
        "rest" => args.list(0).map(|items| Val::list(items.into_iter().skip(1).collect())),
        "initial" => changed(&|items| drop(items.pop())),
        "reverse" => changed(&|items| items.reverse()),
        "compact" => changed(&|items| items.retain(Val::truth)),
        "uniq" => args.list(0).map(|items| {
            let mut kept: Vec<Val> = Vec::new();
            for item in items {
                if !kept.iter().any(|other| other.same(&item)) {
                    kept.push(item);
                }
            }
            Val::list(kept)
        }),
        "without" => {
            changed(&|items| items.retain(|item| !args.0[1..].iter().any(|other| other.same(item))))
        }
        "has" => args
            .any(0)
            .and_then(|item| Ok(Val::Bool(args.list(1)?.iter().any(|other| other.same(item))))),
        "sortAlpha" => args.list(0).map(|items| {
            let mut texts: Vec<String> = items.iter().map(Val::print).collect();
            texts.sort();
            Val::list(texts.into_iter().map(Val::str).collect())
        }),
        "toStrings" => args
            .list(0)
            .map(|items| Val::list(items.iter().map(|item| Val::str(item.print())).collect())),
        _ => return None,
    })
}

/// Taking lists and texts apart and putting them together.
fn parts(name: &str, args: Args<'_>) -> Option<Outcome> {
    Some(match name {
        "join" => args.str(0).and_then(|separator| {
            let items = if let Val::List(items) = args.any(1)? {
                items.to_vec()
            } else {
                vec![args.any(1)?.clone()]
            };
            let texts: Vec<String> =
                items.iter().filter(|item| !matches!(item, Val::Nil)).map(Val::print).collect();
            Ok(Val::str(texts.join(separator)))
        }),
        "splitList" => {
            args.str(0).and_then(|separator| Ok(Val::list(split(args.str(1)?, separator))))
        }
        "split" => args.str(0).and_then(|separator| Ok(numbered(split(args.str(1)?, separator)))),
        "splitn" => args.str(0).and_then(|separator| {
            let count = args.count(1)?.max(1);
            Ok(numbered(args.str(2)?.splitn(count, separator).map(Val::str).collect()))
        }),
        "slice" => args.list(0).and_then(|items| {
            let start = if args.0.len() > 1 { args.count(1)? } else { 0 };
            let end = if args.0.len() > 2 { args.count(2)? } else { items.len() };
            items
                .get(start..end)
                .map(|part| Val::list(part.to_vec()))
                .ok_or_else(|| "the list is not that long".to_owned())
        }),
        "chunk" => args.count(0).and_then(|size| {
            let items = args.list(1)?;
            Ok(Val::list(items.chunks(size.max(1)).map(|part| Val::list(part.to_vec())).collect()))
        }),
        "len" => args
            .any(0)
            .and_then(|value| match value {
                Val::Str(text) => Ok(text.len()),
                Val::List(items) => Ok(items.len()),
                Val::Map(map) => Ok(map.borrow().len()),
                Val::Files(files) => Ok(files.len()),
                other => Err(format!("a {} has no length", other.type_name())),
            })
            .map(|length| Val::Int(i64::try_from(length).unwrap_or(i64::MAX))),
        "index" => index(args),
        _ => return None,
    })
}

fn split(text: &str, separator: &str) -> Vec<Val> {
    if separator.is_empty() {
        return text.chars().map(|c| Val::str(c.to_string())).collect();
    }
    text.split(separator).map(Val::str).collect()
}

/// Parts as `_0`, `_1`, ...
fn numbered(parts: Vec<Val>) -> Val {
    Val::map(
        parts.into_iter().enumerate().map(|(index, part)| (format!("_{index}"), part)).collect(),
    )
}

fn index(args: Args<'_>) -> Outcome {
    let mut value = args.any(0)?.clone();
    for key in &args.0[1..] {
        value = match (&value, key) {
            (Val::Map(map), Val::Str(key)) => map.borrow().get(&**key).cloned().unwrap_or(Val::Nil),
            (Val::List(items), Val::Int(_) | Val::Float(_)) => {
                let at = usize::try_from(super::number::to_int(key)).ok();
                at.and_then(|at| items.get(at))
                    .cloned()
                    .ok_or_else(|| format!("there is no item {}", key.print()))?
            }
            (Val::Nil, _) => return Err("there is nothing to take an item from".to_owned()),
            (other, key) => {
                return Err(format!("a {} has no item {}", other.type_name(), key.print()));
            }
        };
    }
    Ok(value)
}

fn mappings(name: &str, args: Args<'_>) -> Option<Outcome> {
    Some(match name {
        "dict" => {
            let mut map = BTreeMap::new();
            for pair in args.0.chunks(2) {
                map.insert(pair[0].print(), pair.get(1).cloned().unwrap_or_else(|| Val::str("")));
            }
            Ok(Val::map(map))
        }
        "get" => args.map(0).and_then(|map| {
            Ok(map.borrow().get(args.str(1)?).cloned().unwrap_or_else(|| Val::str("")))
        }),
        "set" => args.map(0).and_then(|map| {
            map.borrow_mut().insert(args.str(1)?.to_owned(), args.any(2)?.clone());
            Ok(args.0[0].clone())
        }),
        "unset" => args.map(0).and_then(|map| {
            map.borrow_mut().remove(args.str(1)?);
            Ok(args.0[0].clone())
        }),
        "hasKey" => {
            args.map(0).and_then(|map| Ok(Val::Bool(map.borrow().contains_key(args.str(1)?))))
        }
        "keys" => maps(args, 0).map(|maps| {
            Val::list(
                maps.iter()
                    .flat_map(|map| map.borrow().keys().map(Val::str).collect::<Vec<_>>())
                    .collect(),
            )
        }),
        "values" => args.map(0).map(|map| Val::list(map.borrow().values().cloned().collect())),
        "pick" | "omit" => args.map(0).and_then(|map| {
            let named =
                (1..args.0.len()).map(|index| args.str(index)).collect::<Result<Vec<_>, _>>()?;
            let wanted = |key: &str| named.contains(&key) == (name == "pick");
            let kept = map
                .borrow()
                .iter()
                .filter(|(key, _)| wanted(key))
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect();
            Ok(Val::map(kept))
        }),
        "pluck" => args.str(0).and_then(|key| {
            let found = maps(args, 1)?.into_iter().filter_map(|map| map.borrow().get(key).cloned());
            Ok(Val::list(found.collect()))
        }),
        "merge" | "mergeOverwrite" => args.map(0).and_then(|first| {
            for other in maps(args, 1)? {
                merge(first, other, name == "mergeOverwrite");
            }
            Ok(args.0[0].clone())
        }),
        "dig" => dig(args),
        _ => return None,
    })
}

fn maps(args: Args<'_>, from: usize) -> Result<Vec<&Map>, String> {
    (from..args.0.len()).map(|index| args.map(index)).collect()
}

/// Fills what is missing or empty in `into`, or overwrites it with what is not empty in `from`.
fn merge(into: &Map, from: &Map, overwrite: bool) {
    if std::rc::Rc::ptr_eq(into, from) {
        return;
    }
    for (key, value) in from.borrow().iter() {
        let old = into.borrow().get(key).cloned();
        match (&old, value) {
            (Some(Val::Map(inner)), Val::Map(other)) => merge(inner, other, overwrite),
            (Some(old), new) if if overwrite { !new.truth() } else { old.truth() } => {}
            (_, new) => {
                into.borrow_mut().insert(key.clone(), new.deep_copy());
            }
        }
    }
}

/// `dig "a" "b" default mapping`.
fn dig(args: Args<'_>) -> Outcome {
    let [keys @ .., default, _] = args.0 else { return Err("arguments are missing".to_owned()) };
    let mut value = args.last()?.clone();
    for key in keys {
        let next = match &value {
            Val::Map(map) => map.borrow().get(&key.print()).cloned(),
            _ => None,
        };
        match next {
            Some(next) => value = next,
            None => return Ok(default.clone()),
        }
    }
    Ok(value)
}
