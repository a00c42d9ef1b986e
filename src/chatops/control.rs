//! Typed commands of the conversation itself: approve, reject, list, help.

use super::{ChatOps, command, command::Command, reply};
use crate::{
    delivery::DeliveryError,
    domain::{Actor, Block, Change, Lang},
    model::ToolCall,
    store::ChangeFilter,
};

/// How many changes `/changes` shows.
const SHOWN: usize = 20;

/// What a typed command comes to.
pub(super) enum Typed {
    /// A tool call, which the agent runs through the same guards as any other.
    Call(ToolCall),
    /// Answered already.
    Said(Vec<Block>),
}

impl ChatOps {
    /// Reads a typed command and answers it, unless a tool has to; `None` when `text` is none.
    pub(super) async fn typed(&self, actor: &Actor, text: &str, lang: Lang) -> Option<Typed> {
        let blocks = match command::parse(text)? {
            Ok(Command::Call(call)) => return Some(Typed::Call(call)),
            Ok(Command::Help) => reply::text(command::help(lang)),
            Ok(Command::Changes) => {
                let filter = ChangeFilter { limit: SHOWN, ..ChangeFilter::default() };
                match self.parts.delivery.changes(&filter).await {
                    Ok(changes) => reply::changes(lang, &changes),
                    Err(error) => reply::delivery_error(&error),
                }
            }
            Ok(Command::Approve { change, comment }) => {
                decided(lang, self.parts.delivery.approve(actor, &change, None, comment).await)
            }
            Ok(Command::Reject { change, comment }) => {
                decided(lang, self.parts.delivery.reject(actor, &change, comment).await)
            }
            Err(error) => reply::refusal("command", error.text(lang)),
        };
        Some(Typed::Said(blocks))
    }
}

fn decided(lang: Lang, result: Result<Change, DeliveryError>) -> Vec<Block> {
    match result {
        Ok(change) => reply::text(reply::state_line(lang, &change)),
        Err(error) => reply::delivery_error(&error),
    }
}
