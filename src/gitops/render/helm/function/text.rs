//! Functions on text.

use super::{Args, Outcome, printf};
use crate::gitops::render::helm::value::Val;

pub(super) fn call(name: &str, args: Args<'_>) -> Option<Outcome> {
    let one = |f: &dyn Fn(&str) -> String| args.str(0).map(|text| Val::str(f(text)));
    let test = |f: &dyn Fn(&str, &str) -> bool| {
        args.str(0).and_then(|part| Ok(Val::Bool(f(args.str(1)?, part))))
    };
    let with = |f: &dyn Fn(&str, &str) -> String| {
        args.str(0).and_then(|part| Ok(Val::str(f(args.str(1)?, part))))
    };
    Some(match name {
        "print" => Ok(Val::str(print(args.0))),
        "println" => {
            Ok(Val::str(args.0.iter().map(Val::print).collect::<Vec<_>>().join(" ") + "\n"))
        }
        "printf" => args.str(0).map(|format| Val::str(printf::printf(format, &args.0[1..]))),
        "upper" => one(&str::to_uppercase),
        "lower" => one(&str::to_lowercase),
        "title" => one(&|text| {
            words(text, |first, rest| first.to_uppercase().chain(rest.chars()).collect())
        }),
        "untitle" => one(&|text| {
            words(text, |first, rest| first.to_lowercase().chain(rest.chars()).collect())
        }),
        "trim" => one(&|text| text.trim().to_owned()),
        "nospace" => one(&|text| text.chars().filter(|c| !c.is_whitespace()).collect()),
        "initials" => {
            one(&|text| text.split_whitespace().filter_map(|word| word.chars().next()).collect())
        }
        "swapcase" => one(&|text| text.chars().map(swap).collect()),
        "snakecase" => one(&|text| joined(text, '_')),
        "kebabcase" => one(&|text| joined(text, '-')),
        "camelcase" => one(&camel),
        "trimAll" | "trimall" => {
            with(&|text, set| text.trim_matches(|c| set.contains(c)).to_owned())
        }
        "trimSuffix" => with(&|text, end| text.strip_suffix(end).unwrap_or(text).to_owned()),
        "trimPrefix" => with(&|text, start| text.strip_prefix(start).unwrap_or(text).to_owned()),
        "contains" => test(&|text, part| text.contains(part)),
        "hasPrefix" => test(&|text, part| text.starts_with(part)),
        "hasSuffix" => test(&|text, part| text.ends_with(part)),
        "replace" => {
            args.str(0).and_then(|old| Ok(Val::str(args.str(2)?.replace(old, args.str(1)?))))
        }
        "repeat" => args.count(0).and_then(|count| {
            if count > 100_000 {
                Err("that is too often".to_owned())
            } else {
                Ok(Val::str(args.str(1)?.repeat(count)))
            }
        }),
        "trunc" => args.int(0).and_then(|length| Ok(Val::str(trunc(length, args.str(1)?)))),
        "abbrev" => args.count(0).and_then(|width| Ok(Val::str(abbreviated(width, args.str(1)?)))),
        "substr" => substr(args),
        "indent" => args.count(0).and_then(|width| Ok(Val::str(indent(width, args.str(1)?)))),
        "nindent" => args
            .count(0)
            .and_then(|width| Ok(Val::str(format!("\n{}", indent(width, args.str(1)?))))),
        "quote" => Ok(Val::str(quoted(args.0, printf::quote))),
        "squote" => Ok(Val::str(quoted(args.0, |text| format!("'{text}'")))),
        "cat" => Ok(Val::str(quoted(args.0, str::to_owned))),
        "toString" => args.any(0).map(|value| Val::str(value.print())),
        "plural" => args.int(2).and_then(|count| args.str(usize::from(count != 1)).map(Val::str)),
        "wrap" => args.count(0).and_then(|width| Ok(Val::str(wrapped(width, args.str(1)?)))),
        _ => return paths(name, args),
    })
}

/// Functions on paths.
fn paths(name: &str, args: Args<'_>) -> Option<Outcome> {
    let one = |f: &dyn Fn(&str) -> String| args.str(0).map(|text| Val::str(f(text)));
    Some(match name {
        "base" => {
            one(&|path| path.trim_end_matches('/').rsplit('/').next().unwrap_or(".").to_owned())
        }
        "dir" => one(&|path| path.rsplit_once('/').map_or(".", |(folder, _)| folder).to_owned()),
        "ext" => one(&|path| {
            let name = path.rsplit('/').next().unwrap_or(path);
            name.rfind('.').map_or("", |at| &name[at..]).to_owned()
        }),
        "isAbs" => args.str(0).map(|path| Val::Bool(path.starts_with('/'))),
        _ => return None,
    })
}

/// Go's `print`: spaces between neighbours that are both no text.
fn print(values: &[Val]) -> String {
    let mut out = String::new();
    for (index, value) in values.iter().enumerate() {
        let is_text = |value: &Val| matches!(value, Val::Str(_));
        if index > 0 && !is_text(value) && !is_text(&values[index - 1]) {
            out.push(' ');
        }
        out.push_str(&value.print());
    }
    out
}

fn words(text: &str, change: impl Fn(char, &str) -> String) -> String {
    let word = |word: &str| {
        let mut letters = word.chars();
        letters.next().map(|first| change(first, letters.as_str())).unwrap_or_default()
    };
    text.split_inclusive(char::is_whitespace).map(word).collect()
}

fn swap(c: char) -> char {
    let swapped: Vec<char> =
        if c.is_uppercase() { c.to_lowercase().collect() } else { c.to_uppercase().collect() };
    *swapped.first().unwrap_or(&c)
}

/// `FirstName` as `first-name`.
fn joined(text: &str, sign: char) -> String {
    let mut out = String::new();
    let mut before = ' ';
    for c in text.chars() {
        if matches!(c, ' ' | '-' | '_') {
            out.push(sign);
        } else {
            if c.is_uppercase() && (before.is_lowercase() || before.is_ascii_digit()) {
                out.push(sign);
            }
            out.extend(c.to_lowercase());
        }
        before = c;
    }
    out
}

/// `first-name` as `FirstName`.
fn camel(text: &str) -> String {
    let parts = text.split(['-', '_', ' ']).filter(|part| !part.is_empty());
    parts
        .map(|part| words(part, |first, rest| first.to_uppercase().chain(rest.chars()).collect()))
        .collect()
}

fn trunc(length: i64, text: &str) -> String {
    // Go counts bytes; cutting a letter in two would leave no text at all
    let size = usize::try_from(length.unsigned_abs()).unwrap_or(usize::MAX);
    if size >= text.len() {
        return text.to_owned();
    }
    let boundary =
        |at: usize| (at..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len());
    if length < 0 {
        return text[boundary(text.len() - size)..].to_owned();
    }
    let end = (0..=size).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    text[..end].to_owned()
}

fn abbreviated(width: usize, text: &str) -> String {
    if width < 4 || text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width - 3).chain("...".chars()).collect()
}

fn substr(args: Args<'_>) -> Outcome {
    let (start, end, text) = (args.int(0)?, args.int(1)?, args.str(2)?);
    let letters: Vec<char> = text.chars().collect();
    let clamp = |at: i64| usize::try_from(at).unwrap_or(letters.len()).min(letters.len());
    let start = if start < 0 { 0 } else { clamp(start) };
    let end = clamp(end).max(start);
    Ok(Val::str(letters[start..end].iter().collect::<String>()))
}

fn indent(width: usize, text: &str) -> String {
    let pad = " ".repeat(width.min(1000));
    format!("{pad}{}", text.replace('\n', &format!("\n{pad}")))
}

/// What is not nil, each as text changed by `change`, with spaces between.
fn quoted(values: &[Val], change: impl Fn(&str) -> String) -> String {
    let present = values.iter().filter(|value| !matches!(value, Val::Nil));
    present.map(|value| change(&value.print())).collect::<Vec<_>>().join(" ")
}

fn wrapped(width: usize, text: &str) -> String {
    let mut lines: Vec<String> = vec![String::new()];
    for word in text.split(' ') {
        let last = lines.last().map_or(0, |line| line.chars().count());
        if last > 0 && last + 1 + word.chars().count() > width {
            lines.push(word.to_owned());
        } else if let Some(line) = lines.last_mut() {
            if last > 0 {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines.join("\n")
}
