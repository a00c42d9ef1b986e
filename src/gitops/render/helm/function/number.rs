//! Functions on numbers.

use super::{Args, Outcome};
use crate::gitops::render::helm::value::Val;

pub(super) fn call(name: &str, args: Args<'_>) -> Option<Outcome> {
    let ints = || args.0.iter().map(to_int).collect::<Vec<_>>();
    let floats = || args.0.iter().map(to_float).collect::<Vec<_>>();
    let int = |value: Option<i64>| {
        value.map(Val::Int).ok_or_else(|| "the result is out of range".to_owned())
    };
    let two =
        |f: &dyn Fn(i64, i64) -> Option<i64>| args.int(0).and_then(|a| int(f(a, args.int(1)?)));
    let fold = |f: &dyn Fn(f64, f64) -> f64| {
        floats()
            .into_iter()
            .reduce(f)
            .map(Val::Float)
            .ok_or_else(|| "arguments are missing".to_owned())
    };
    Some(match name {
        "int" | "int64" => args.int(0).map(Val::Int),
        "atoi" => args.str(0).map(|text| Val::Int(text.parse().unwrap_or(0))),
        "toDecimal" => {
            args.any(0).map(|value| Val::Int(i64::from_str_radix(&value.print(), 8).unwrap_or(0)))
        }
        "float64" => args.any(0).map(|value| Val::Float(to_float(value))),
        "add1" => args.int(0).and_then(|a| int(a.checked_add(1))),
        "add" => int(ints().into_iter().try_fold(0_i64, i64::checked_add)),
        "mul" => int(ints().into_iter().try_fold(1_i64, i64::checked_mul)),
        "sub" => two(&i64::checked_sub),
        "div" => two(&i64::checked_div),
        "mod" => two(&i64::checked_rem),
        "max" | "biggest" => int(ints().into_iter().max()),
        "min" => int(ints().into_iter().min()),
        "addf" => fold(&|a, b| a + b),
        "subf" => fold(&|a, b| a - b),
        "mulf" => fold(&|a, b| a * b),
        "divf" => fold(&|a, b| a / b),
        "maxf" => fold(&f64::max),
        "minf" => fold(&f64::min),
        "ceil" => args.any(0).map(|value| Val::Float(to_float(value).ceil())),
        "floor" => args.any(0).map(|value| Val::Float(to_float(value).floor())),
        "round" => args.any(0).and_then(|value| {
            let scale = 10_f64.powi(i32::try_from(args.int(1)?).unwrap_or(0));
            Ok(Val::Float((to_float(value) * scale).round() / scale))
        }),
        "until" => args.int(0).and_then(|end| steps(0, end, if end < 0 { -1 } else { 1 })),
        "untilStep" => args.int(0).and_then(|start| steps(start, args.int(1)?, args.int(2)?)),
        "seq" => sequence(&ints()),
        _ => return None,
    })
}

/// What Go's conversions make of a value: 0 when it is no number.
pub(super) fn to_int(value: &Val) -> i64 {
    match value {
        Val::Int(number) => *number,
        #[expect(clippy::cast_possible_truncation, reason = "Go truncates, too")]
        Val::Float(number) => *number as i64,
        Val::Bool(value) => i64::from(*value),
        Val::Str(text) => text.parse().unwrap_or(0),
        _ => 0,
    }
}

fn to_float(value: &Val) -> f64 {
    match value {
        #[expect(clippy::cast_precision_loss, reason = "Go loses it, too")]
        Val::Int(number) => *number as f64,
        Val::Float(number) => *number,
        Val::Bool(value) => f64::from(u8::from(*value)),
        Val::Str(text) => text.parse().unwrap_or(0.0),
        _ => 0.0,
    }
}

fn steps(start: i64, end: i64, step: i64) -> Outcome {
    let mut items = Vec::new();
    let mut at = start;
    while step > 0 && at < end || step < 0 && at > end {
        items.push(Val::Int(at));
        at = at.checked_add(step).ok_or("the result is out of range")?;
        if items.len() > 100_000 {
            return Err("that is too many".to_owned());
        }
    }
    Ok(Val::list(items))
}

/// `seq 5`, `seq 2 5`, `seq 0 2 10`: numbers with spaces between, ends included.
fn sequence(args: &[i64]) -> Outcome {
    let (start, step, end) = match args {
        [end] => (1, if *end < 1 { -1 } else { 1 }, *end),
        [start, end] => (*start, if end < start { -1 } else { 1 }, *end),
        [start, step, end] => (*start, *step, *end),
        _ => return Ok(Val::str("")),
    };
    let Val::List(items) = steps(start, end + step.signum(), step)? else {
        return Ok(Val::str(""));
    };
    Ok(Val::str(items.iter().map(Val::print).collect::<Vec<_>>().join(" ")))
}
