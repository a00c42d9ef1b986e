//! `kubemate ask --explain`: the decisions of a turn as text.

use std::io::{Result, Write};

use crate::domain::{Consultation, Explanation};

/// Writes every decision, one per line.
pub(super) fn write(explanation: &Explanation, out: &mut (dyn Write + Send)) -> Result<()> {
    let Explanation { gate, names, examples, tools, steps, model_calls } = explanation;
    writeln!(out, "why:")?;
    if !gate.is_empty() {
        writeln!(out, "  gate      {gate}")?;
    }
    for name in names {
        writeln!(out, "  name      {} = {}", name.said, name.means.join(", "))?;
    }
    for example in examples {
        let tool = example.tool.as_deref().unwrap_or("-");
        writeln!(
            out,
            "  example   {:.2} {} {tool}: {}",
            example.score, example.intent, example.say
        )?;
    }
    for candidate in tools {
        writeln!(out, "  tool      {:.2} {}", candidate.share, candidate.tool)?;
    }
    for step in steps {
        writeln!(out, "  step      {step}")?;
    }
    model_calls.iter().try_for_each(|call| write_call(call, out))
}

fn write_call(call: &Consultation, out: &mut (dyn Write + Send)) -> Result<()> {
    let Consultation { input_tokens, cached_tokens, output_tokens, milliseconds, .. } = call;
    let asked = if call.offered.is_empty() {
        "asked for text".to_owned()
    } else {
        format!("offered {}", call.offered.join(", "))
    };
    let ended = match (&call.error, &call.chose) {
        (Some(error), _) => format!("failed: {error}"),
        (None, Some(tool)) => format!("chose {tool}"),
        (None, None) => "wrote".to_owned(),
    };
    writeln!(
        out,
        "  model     {asked}; {ended}; {input_tokens} tokens in ({cached_tokens} cached), {output_tokens} out, {milliseconds} ms"
    )
}
