//! Go's `printf`.

use super::number;
use crate::gitops::render::helm::value::Val;

/// `format` with its verbs replaced by the values; what does not fit is marked as Go marks it.
pub(super) fn printf(format: &str, values: &[Val]) -> String {
    let mut out = String::new();
    let mut rest = format;
    let mut next = 0;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        let directive = &rest[at + 1..];
        let Some(end) = directive.find(|c: char| c.is_alphabetic() || c == '%') else {
            out.push_str("%!(NOVERB)");
            return out;
        };
        let (flags, verb) = (&directive[..end], directive[end..].chars().next().unwrap_or('%'));
        rest = &directive[end + verb.len_utf8()..];
        if verb == '%' {
            out.push('%');
            continue;
        }
        match values.get(next) {
            Some(value) => out.push_str(&padded(flags, &one(verb, flags, value))),
            None => out.push_str(&format!("%!{verb}(MISSING)")),
        }
        next += 1;
    }
    out.push_str(rest);
    if next < values.len() {
        let extra: Vec<String> = values[next..]
            .iter()
            .map(|value| format!("{}={}", value.type_name(), value.print()))
            .collect();
        out.push_str(&format!("%!(EXTRA {})", extra.join(", ")));
    }
    out
}

fn one(verb: char, flags: &str, value: &Val) -> String {
    let precision = flags.split_once('.').map(|(_, digits)| digits.parse::<usize>().unwrap_or(0));
    let wrong = || format!("%!{verb}({}={})", value.type_name(), value.print());
    match (verb, value) {
        ('v', _) | ('s', Val::Str(_) | Val::List(_) | Val::Map(_)) => value.print(),
        ('s', _) => wrong(),
        ('d', Val::Int(number)) => number.to_string(),
        ('q', Val::Str(text)) => quote(text),
        ('q', Val::List(items)) => {
            let items: Vec<String> = items.iter().map(|item| one('q', flags, item)).collect();
            format!("[{}]", items.join(" "))
        }
        ('t', Val::Bool(value)) => value.to_string(),
        ('f' | 'F', Val::Float(number)) => format!("{number:.*}", precision.unwrap_or(6)),
        ('g', Val::Float(_)) => value.print(),
        ('x', Val::Int(number)) => format!("{number:x}"),
        ('X', Val::Int(number)) => format!("{number:X}"),
        ('o', Val::Int(number)) => format!("{number:o}"),
        ('b', Val::Int(number)) => format!("{number:b}"),
        ('c', Val::Int(_)) => u32::try_from(number::to_int(value))
            .ok()
            .and_then(char::from_u32)
            .map(String::from)
            .unwrap_or_default(),
        ('x', Val::Str(text)) => hex::encode(text.as_bytes()),
        ('T', _) => value.type_name().to_owned(),
        _ => wrong(),
    }
}

fn padded(flags: &str, text: &str) -> String {
    let width = flags.split('.').next().unwrap_or_default();
    let number = width.trim_start_matches(['-', '+', '0', ' ', '#']);
    let Ok(number) = number.parse::<usize>() else { return text.to_owned() };
    let missing = number.min(10_000).saturating_sub(text.chars().count());
    if width.contains('-') {
        format!("{text}{}", " ".repeat(missing))
    } else if width.starts_with('0') {
        let (sign, digits) = text.strip_prefix('-').map_or(("", text), |digits| ("-", digits));
        format!("{sign}{}{digits}", "0".repeat(missing))
    } else {
        format!("{}{text}", " ".repeat(missing))
    }
}

/// Go's `%q`.
pub(super) fn quote(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if c.is_control() => out.push_str(&format!("\\x{:02x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verbs_print_as_in_go() {
        let table = [
            ("%s-%d", vec![Val::str("a"), Val::Int(3)], "a-3"),
            ("%05d|%-4s|%4s", vec![Val::Int(-42), Val::str("x"), Val::str("y")], "-0042|x   |   y"),
            (
                "%.2f %v %t",
                vec![Val::Float(1.0), Val::Float(1.5), Val::Bool(true)],
                "1.00 1.5 true",
            ),
            (
                "%q %v %%",
                vec![Val::str("a\"b"), Val::list(vec![Val::Int(1), Val::str("b")])],
                "\"a\\\"b\" [1 b] %",
            ),
            ("%d", vec![Val::Float(2.0)], "%!d(float64=2)"),
            ("%s", vec![], "%!s(MISSING)"),
            ("x", vec![Val::Int(1)], "x%!(EXTRA int=1)"),
        ];
        for (format, values, text) in table {
            assert_eq!(printf(format, &values), text);
        }
    }
}
