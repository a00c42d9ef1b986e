//! A thread while somebody speaks or listens in it: one turn at a time, and what those who listen hear.

use std::sync::{Mutex, PoisonError};

use tokio::sync::broadcast;

use crate::domain::TurnEvent;

/// Events that wait for a slow listener.
const WAITING: usize = 256;

pub(super) struct Room {
    /// Held while a turn runs: one turn at a time, in order.
    pub(super) turn: tokio::sync::Mutex<()>,
    events: broadcast::Sender<TurnEvent>,
    /// What has been said of the answer that is being written, for those who come in the middle of it.
    written: Mutex<String>,
}

impl Room {
    pub(super) fn new() -> Self {
        let (events, _) = broadcast::channel(WAITING);
        Self { turn: tokio::sync::Mutex::default(), events, written: Mutex::default() }
    }

    pub(super) fn emit(&self, event: TurnEvent) {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        match &event {
            TurnEvent::Delta { text } => written.push_str(text),
            TurnEvent::Message { .. } | TurnEvent::Done => written.clear(),
            TurnEvent::Accepted { .. }
            | TurnEvent::Progress { .. }
            | TurnEvent::Explained { .. } => {}
        }
        // nobody listening is fine: what matters is stored
        drop(self.events.send(event));
    }

    /// What has been written of the answer so far, and all events from then on.
    pub(super) fn listen(&self) -> (String, broadcast::Receiver<TurnEvent>) {
        // under the lock, so that no piece is in neither or in both
        let written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        (written.clone(), self.events.subscribe())
    }

    pub(super) fn is_listened_to(&self) -> bool {
        self.events.receiver_count() > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delta(text: &str) -> TurnEvent {
        TurnEvent::Delta { text: text.to_owned() }
    }

    #[tokio::test]
    async fn who_comes_in_the_middle_of_an_answer_gets_its_beginning() {
        let room = Room::new();
        room.emit(delta("one "));
        room.emit(delta("two "));
        let (written, mut events) = room.listen();
        assert_eq!(written, "one two ");
        room.emit(delta("three"));
        let heard = events.recv().await;
        assert!(matches!(&heard, Ok(TurnEvent::Delta { text }) if text == "three"), "{heard:?}");
        room.emit(TurnEvent::Done);
        assert_eq!(room.listen().0, "");
    }
}
