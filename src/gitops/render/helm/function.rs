//! The functions templates call: Go's own, sprig's, and Helm's. One that is not here is an error, never an empty text.

use serde_json::Value;

use super::value::{Map, Val};
use crate::gitops::yaml::{self, Dialect};

mod collection;
mod encoding;
mod number;
mod printf;
mod text;
mod version;

pub(super) use version::KUBERNETES;

/// What a function returns; the error is for people.
pub(super) type Outcome = Result<Val, String>;

/// Functions whose result is another one each time: with them, what was reviewed is not what is applied.
const UNSTEADY: &[&str] = &[
    "now",
    "ago",
    "date",
    "dateInZone",
    "date_in_zone",
    "htmlDate",
    "htmlDateInZone",
    "dateModify",
    "randAlphaNum",
    "randAlpha",
    "randAscii",
    "randNumeric",
    "randInt",
    "randBytes",
    "shuffle",
    "uuidv4",
    "genPrivateKey",
    "genCA",
    "genCAWithKey",
    "genSelfSignedCert",
    "genSelfSignedCertWithKey",
    "genSignedCert",
    "genSignedCertWithKey",
    "buildCustomCert",
    "derivePassword",
    "bcrypt",
    "htpasswd",
    "encryptAES",
];

/// Calls a function; `None` when there is none of that name.
pub(super) fn call(name: &str, args: &[Val]) -> Option<Outcome> {
    if UNSTEADY.contains(&name) {
        return Some(Err("its result differs from one rendering to the next, so no plan could hold; set the value that is made up here".to_owned()));
    }
    let args = Args(args);
    let found = |name: &str| {
        general(name, args)
            .or_else(|| text::call(name, args))
            .or_else(|| collection::call(name, args))
            .or_else(|| number::call(name, args))
            .or_else(|| encoding::call(name, args))
            .or_else(|| version::call(name, args))
    };
    found(name).or_else(|| {
        // mustAppend is append: failures are failures here anyway
        let rest = name.strip_prefix("must").filter(|rest| rest.starts_with(char::is_uppercase))?;
        let mut letters = rest.chars();
        let first = letters.next()?.to_lowercase();
        found(&first.chain(letters).collect::<String>())
    })
}

/// Calls a method of a built-in object; `None` when it has none of that name.
pub(super) fn method(target: &Val, name: &str, args: &[Val]) -> Option<Outcome> {
    match target {
        Val::Versions if name == "Has" => {
            Some(Args(args).str(0).map(|version| Val::Bool(version::is_served(version))))
        }
        Val::Files(_) => encoding::files(target, name, Args(args)),
        _ => None,
    }
}

/// The arguments of a call.
#[derive(Clone, Copy)]
pub(super) struct Args<'a>(pub(super) &'a [Val]);

impl<'a> Args<'a> {
    fn any(self, index: usize) -> Result<&'a Val, String> {
        self.0.get(index).ok_or_else(|| format!("argument {} is missing", index + 1))
    }

    fn str(self, index: usize) -> Result<&'a str, String> {
        match self.any(index)? {
            Val::Str(text) => Ok(text),
            other => {
                Err(format!("argument {} must be a text, not {}", index + 1, other.type_name()))
            }
        }
    }

    fn int(self, index: usize) -> Result<i64, String> {
        Ok(number::to_int(self.any(index)?))
    }

    /// A number that counts something.
    fn count(self, index: usize) -> Result<usize, String> {
        usize::try_from(self.int(index)?)
            .map_err(|_| format!("argument {} must not be negative", index + 1))
    }

    fn list(self, index: usize) -> Result<Vec<Val>, String> {
        match self.any(index)? {
            Val::List(items) => Ok(items.to_vec()),
            Val::Nil => Ok(Vec::new()),
            other => {
                Err(format!("argument {} must be a list, not {}", index + 1, other.type_name()))
            }
        }
    }

    fn map(self, index: usize) -> Result<&'a Map, String> {
        match self.any(index)? {
            Val::Map(map) => Ok(map),
            other => {
                Err(format!("argument {} must be a mapping, not {}", index + 1, other.type_name()))
            }
        }
    }

    fn last(self) -> Result<&'a Val, String> {
        self.0.last().ok_or_else(|| "arguments are missing".to_owned())
    }
}

fn general(name: &str, args: Args<'_>) -> Option<Outcome> {
    let all = args.0;
    Some(match name {
        "not" => args.any(0).map(|value| Val::Bool(!value.truth())),
        "eq" => equal(args),
        "ne" => equal(args).map(|value| Val::Bool(!value.truth())),
        "lt" => compare(args).map(|order| Val::Bool(order.is_lt())),
        "le" => compare(args).map(|order| Val::Bool(order.is_le())),
        "gt" => compare(args).map(|order| Val::Bool(order.is_gt())),
        "ge" => compare(args).map(|order| Val::Bool(order.is_ge())),
        "default" => args.any(0).map(|default| match all.get(1) {
            Some(given) if given.truth() => given.clone(),
            _ => default.clone(),
        }),
        "empty" => args.any(0).map(|value| Val::Bool(!value.truth())),
        "coalesce" => Ok(all.iter().find(|value| value.truth()).cloned().unwrap_or(Val::Nil)),
        "all" => Ok(Val::Bool(all.iter().all(Val::truth))),
        "any" => Ok(Val::Bool(all.iter().any(Val::truth))),
        "ternary" => {
            args.any(2).map(|which| if which.truth() { all[0].clone() } else { all[1].clone() })
        }
        "required" => args.any(1).and_then(|value| {
            let missing =
                matches!(value, Val::Nil) || matches!(value, Val::Str(text) if text.is_empty());
            if missing { Err(args.str(0)?.to_owned()) } else { Ok(value.clone()) }
        }),
        "fail" => args.str(0).and_then(|message| Err(message.to_owned())),
        // nothing is known of the cluster while rendering, as in a first installation
        "lookup" => Ok(Val::object([])),
        "getHostByName" => Ok(Val::str("")),
        "kindOf" => args.any(0).map(|value| Val::str(value.kind())),
        "kindIs" => args.str(0).and_then(|kind| Ok(Val::Bool(args.any(1)?.kind() == kind))),
        "typeOf" => args.any(0).map(|value| Val::str(value.type_name())),
        "typeIs" | "typeIsLike" => {
            args.str(0).and_then(|kind| Ok(Val::Bool(args.any(1)?.type_name() == kind)))
        }
        "deepEqual" => args.any(0).and_then(|a| Ok(Val::Bool(a.same(args.any(1)?)))),
        "deepCopy" => args.any(0).map(Val::deep_copy),
        _ => return None,
    })
}

fn equal(args: Args<'_>) -> Outcome {
    let first = args.any(0)?;
    args.any(1)?;
    for other in &args.0[1..] {
        let nil = matches!(first, Val::Nil) || matches!(other, Val::Nil);
        if !nil && first.kind() != other.kind() {
            return Err(format!(
                "a {} cannot be compared with a {}",
                first.type_name(),
                other.type_name()
            ));
        }
        if first.same(other) {
            return Ok(Val::Bool(true));
        }
    }
    Ok(Val::Bool(false))
}

fn compare(args: Args<'_>) -> Result<std::cmp::Ordering, String> {
    match (args.any(0)?, args.any(1)?) {
        (Val::Int(a), Val::Int(b)) => Ok(a.cmp(b)),
        (Val::Float(a), Val::Float(b)) => Ok(a.total_cmp(b)),
        (Val::Str(a), Val::Str(b)) => Ok(a.cmp(b)),
        (a, b) => Err(format!("a {} cannot be compared with a {}", a.type_name(), b.type_name())),
    }
}

/// A YAML text as a value, or the error as Helm passes it on: a mapping with the key `Error`.
fn read_yaml(text: &str) -> Result<Value, String> {
    yaml::only("text", text, Dialect::Kubectl).map_err(|error| error.message)
}
