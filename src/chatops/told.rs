//! What happens to changes is told in their threads, once: the threads' own messages are the memory of what was told.

use std::sync::Arc;

use tokio::sync::broadcast;

use super::{ChatError, ChatOps, reply};
use crate::{
    delivery::ChangeEvent,
    domain::{Block, Change, ChangeState, Lang, Message, Speaker, TurnEvent},
    store::ChangeFilter,
};

impl ChatOps {
    /// Tells threads what happens to their changes; returns when `cancel` fires and running turns have ended.
    ///
    /// # Errors
    /// When the store fails at start.
    pub async fn run(self: &Arc<Self>) -> Result<(), ChatError> {
        let mut events = self.parts.delivery.subscribe();
        self.catch_up().await?;
        loop {
            let event = tokio::select! {
                () = self.cancel.cancelled() => break,
                event = events.recv() => event,
            };
            let told = match event {
                Ok(event) => self.change_event(event).await,
                // too many events at once: the records themselves say what was missed
                Err(broadcast::error::RecvError::Lagged(_)) => self.catch_up().await,
                Err(broadcast::error::RecvError::Closed) => break,
            };
            if let Err(error) = told {
                tracing::error!(%error, "telling a thread about its change");
            }
        }
        self.turns.close();
        self.turns.wait().await;
        Ok(())
    }

    /// After a start, or after events were missed: proposals and ends of changes nobody was told about, and messages that an
    /// earlier process left unanswered.
    async fn catch_up(&self) -> Result<(), ChatError> {
        let changes = self
            .parts
            .store
            .changes(&ChangeFilter { limit: 200, ..ChangeFilter::default() })
            .await?;
        for change in changes.iter().filter(|change| is_told(change.state)) {
            self.tell_change(change).await?;
        }
        for thread in self.parts.store.threads(None, 200).await? {
            let messages = self.parts.store.messages(&thread.id, 0).await?;
            let Some(last) = messages.last() else { continue };
            // what this process took is being answered; what became a change is told as that
            let answered = last.at >= self.started
                || changes.iter().any(|c| c.thread == thread.id && c.created >= last.at);
            if !answered && matches!(last.speaker, Speaker::Operator { .. }) {
                let lang = words(last).map_or(Lang::En, Lang::of);
                self.tell(&thread.id, reply::interrupted(lang)).await?;
            }
        }
        Ok(())
    }

    async fn change_event(&self, event: ChangeEvent) -> Result<(), ChatError> {
        match event {
            ChangeEvent::Stored(change) if is_told(change.state) => {
                self.tell_change(&change).await?;
            }
            ChangeEvent::Stored(change) => {
                let text = reply::state_line(Lang::of(&change.request), &change);
                let phase = "change".to_owned();
                self.emit(&change.thread, TurnEvent::Progress { phase, text });
            }
            ChangeEvent::Progress { thread, text, .. } => {
                let phase = "reconcile".to_owned();
                self.emit(&thread, TurnEvent::Progress { phase, text });
            }
        }
        Ok(())
    }

    /// Says that a change is proposed or how it ended, once: the thread itself remembers whether it was said.
    async fn tell_change(&self, change: &Change) -> Result<(), ChatError> {
        // a turn that is running tells its proposal itself
        let room = self.room(&change.thread);
        if change.state == ChangeState::Proposed && room.turn.try_lock().is_err() {
            return Ok(());
        }
        let messages = self.parts.store.messages(&change.thread, 0).await?;
        let said = messages.iter().flat_map(|message| &message.blocks).any(|block| {
            matches!(block, Block::Change { change: id, state, .. } if *id == change.id && *state == change.state)
        });
        if !said && self.parts.store.thread(&change.thread).await?.is_some() {
            self.tell(&change.thread, reply::change(Lang::of(&change.request), change)).await?;
        }
        Ok(())
    }
}

/// The states a thread is told about in a message.
fn is_told(state: ChangeState) -> bool {
    state.is_final() || state == ChangeState::Proposed
}

/// The text of a message.
fn words(message: &Message) -> Option<&str> {
    message.blocks.iter().find_map(|block| match block {
        Block::Text { text } => Some(text.as_str()),
        _ => None,
    })
}
