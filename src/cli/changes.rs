//! `kubemate changes`, `approve`, `reject`.

use std::{io::Write, time::Duration};

use clap::Args;
use serde_json::{Value, json};

use super::{ServerArgs, exit};
use crate::{
    client::Client,
    config::Config,
    domain::{Change, ChangeState, Severity},
};

/// Arguments of `changes`.
#[derive(Debug, Args)]
pub struct ChangesArgs {
    /// A change to show whole.
    pub id: Option<String>,
    #[command(flatten)]
    server: ServerArgs,
}

/// Arguments of `approve` and `reject`.
#[derive(Debug, Args)]
pub struct DecisionArgs {
    /// The change.
    pub id: String,
    /// A word to the requester.
    #[arg(long, short = 'm')]
    pub comment: Option<String>,
    /// Approve only this plan; the default is the plan shown now.
    #[arg(long, value_name = "HASH")]
    pub plan: Option<String>,
    /// Wait until the change is healthy (or has failed).
    #[arg(long)]
    pub wait: bool,
    #[command(flatten)]
    server: ServerArgs,
}

/// Lists changes, or shows one.
pub(super) async fn changes(
    config: &Config,
    args: ChangesArgs,
    out: &mut (dyn Write + Send),
) -> anyhow::Result<u8> {
    let client = args.server.client(config)?;
    if let Some(id) = args.id {
        let change = client.change(&id).await?;
        if args.server.json {
            writeln!(out, "{}", serde_json::to_string(&change)?)?;
        } else {
            show(&change, out)?;
        }
        return Ok(exit::OK);
    }
    let changes: Vec<Change> = client.get("/changes").await?;
    for change in &changes {
        if args.server.json {
            writeln!(out, "{}", serde_json::to_string(change)?)?;
        } else {
            let state = state(change.state);
            writeln!(out, "{}  {state:9}  {}  {}", change.id, change.requested_by, change.summary)?;
        }
    }
    if changes.is_empty() && !args.server.json {
        writeln!(out, "no changes yet")?;
    }
    Ok(exit::OK)
}

/// Approves or rejects.
pub(super) async fn decide(
    config: &Config,
    verb: &str,
    args: DecisionArgs,
    out: &mut (dyn Write + Send),
) -> anyhow::Result<u8> {
    let client = args.server.client(config)?;
    let plan = match args.plan {
        Some(plan) => Some(plan),
        // what is approved is what this command line could have been shown just now
        None => client.change(&args.id).await?.plan.map(|plan| plan.hash.0),
    };
    let body = json!({"plan_hash": plan, "comment": args.comment});
    let mut change: Change = client.post(&format!("/changes/{}/{verb}", args.id), &body).await?;
    if args.wait {
        change = wait(&client, change).await?;
    }
    if args.server.json {
        writeln!(out, "{}", serde_json::to_string(&change)?)?;
    } else {
        let message = change.message.as_deref().unwrap_or_default();
        writeln!(out, "{}  {}  {}  {message}", change.id, state(change.state), change.summary)?;
    }
    let bad =
        matches!(change.state, ChangeState::Degraded | ChangeState::Failed | ChangeState::Stale);
    Ok(if bad { exit::UNHEALTHY } else { exit::OK })
}

/// Follows a change to its end; the reconciler's own time-out bounds it.
pub(super) async fn wait(client: &Client, mut change: Change) -> anyhow::Result<Change> {
    while !change.state.is_final() {
        tokio::time::sleep(Duration::from_millis(300)).await;
        change = client.change(&change.id.0).await?;
    }
    Ok(change)
}

/// The state as the API spells it.
pub(super) fn state(state: ChangeState) -> String {
    serde_json::to_value(state).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default()
}

fn show(change: &Change, out: &mut (dyn Write + Send)) -> std::io::Result<()> {
    writeln!(out, "{}  {}", change.id, change.summary)?;
    writeln!(
        out,
        "state: {}  {}",
        state(change.state),
        change.message.as_deref().unwrap_or_default()
    )?;
    writeln!(out, "requested by {}: {}", change.requested_by, change.request)?;
    for approval in &change.approvals {
        let comment = approval.comment.as_deref().unwrap_or_default();
        writeln!(out, "approved by {} at {}: {comment}", approval.by, approval.at)?;
    }
    let Some(plan) = &change.plan else { return Ok(()) };
    writeln!(out, "plan {}", plan.hash)?;
    for finding in &plan.findings {
        let mark = match finding.severity {
            Severity::Info => "info",
            Severity::Warning => "warning",
            Severity::Error => "error",
        };
        writeln!(out, "  {mark} {}: {}", finding.check, finding.message)?;
    }
    for file in &plan.files {
        writeln!(out, "\n{}", file.diff.trim_end())?;
    }
    for object in &plan.objects {
        let live = object.live_diff.as_deref().unwrap_or("(the cluster could not be asked)");
        writeln!(out, "\nlive {}\n{}", object.object, live.trim_end())?;
    }
    Ok(())
}

/// Kept for `ask --wait`: the change a reply speaks of.
pub(super) fn change_of(blocks: &Value) -> Option<String> {
    let cards = blocks.as_array()?.iter();
    cards
        .filter(|block| block.pointer("/type").and_then(Value::as_str) == Some("change"))
        .find_map(|block| block.pointer("/change").and_then(Value::as_str).map(str::to_owned))
}
