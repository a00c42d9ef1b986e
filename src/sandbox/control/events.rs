//! Event objects: what components reported, counted when it repeats, forgotten after an hour.

use std::collections::HashMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    object::{hash64, name, namespace, seconds, stamp, text, time},
    view::Note,
};
use crate::sandbox::storage::{DeleteOptions, Storage};

const EVENTS: &str = "events";
/// How long an event is kept, in seconds; the API server's default.
const KEPT: i64 = 3600;
/// The same thing said again within this many seconds is not worth a write.
const QUIET: i64 = 5;

/// Writes events and remembers which ones are there, so that repetitions are counted.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    known: HashMap<u64, Known>,
    serial: u64,
}

#[derive(Debug)]
struct Known {
    namespace: String,
    name: String,
    last: Timestamp,
}

impl Recorder {
    /// Takes up the events that a restored cluster has.
    pub(crate) fn load(&mut self, storage: &Storage) {
        for event in storage.list(EVENTS, None).0 {
            let identity = identity(
                &event["involvedObject"],
                text(&event, "/reason"),
                text(&event, "/message"),
            );
            let last = time(&event, "/lastTimestamp").unwrap_or(Timestamp::MIN);
            let known = Known {
                namespace: namespace(&event).to_owned(),
                name: name(&event).to_owned(),
                last,
            };
            self.known.insert(identity, known);
        }
    }

    /// Writes one event, or counts it up when it was said before.
    pub(crate) fn record(&mut self, storage: &Storage, note: &Note, now: Timestamp) {
        let identity = identity(&note.about, note.reason, &note.message);
        if let Some(known) = self.known.get_mut(&identity) {
            if now < known.last + seconds(QUIET) {
                return;
            }
            let counted = storage.update(EVENTS, Some(&known.namespace), &known.name, |event| {
                let count = event["count"].as_i64().unwrap_or(1) + 1;
                event["count"] = count.into();
                event["lastTimestamp"] = stamp(now).into();
                Ok(())
            });
            if counted.is_ok() {
                known.last = now;
                return;
            }
        }
        let space = match text(&note.about, "/namespace") {
            "" => "default",
            space => space,
        };
        self.serial += 1;
        let serial = format!(
            "{:016x}",
            hash64(&[&note.message, &self.serial.to_string(), &now.to_string()])
        );
        let event_name = format!("{}.{serial}", text(&note.about, "/name"));
        let event = json!({
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": { "name": event_name, "namespace": space },
            "involvedObject": note.about,
            "reason": note.reason,
            "message": note.message,
            "source": source(note),
            "firstTimestamp": stamp(now),
            "lastTimestamp": stamp(now),
            "count": 1,
            "type": if note.warning { "Warning" } else { "Normal" },
            "eventTime": null,
            "reportingComponent": note.from,
            "reportingInstance": note.host,
        });
        if storage.create(EVENTS, event).is_ok() {
            let known = Known { namespace: space.to_owned(), name: event_name, last: now };
            self.known.insert(identity, known);
        }
    }

    /// Deletes events that were last seen more than an hour ago.
    pub(crate) fn sweep(&mut self, storage: &Storage, now: Timestamp) {
        for event in storage.list(EVENTS, None).0 {
            let last = [
                time(&event, "/lastTimestamp"),
                time(&event, "/eventTime"),
                time(&event, "/metadata/creationTimestamp"),
            ];
            let last = last.into_iter().flatten().max();
            if last.is_some_and(|last| last + seconds(KEPT) < now) {
                // an event that somebody else removed meanwhile is gone as well
                let _ = storage.delete(
                    EVENTS,
                    Some(namespace(&event)),
                    name(&event),
                    &DeleteOptions::default(),
                );
            }
        }
        self.known.retain(|_, known| known.last + seconds(KEPT) >= now);
    }
}

fn source(note: &Note) -> Value {
    let mut source = json!({ "component": note.from });
    if !note.host.is_empty() {
        source["host"] = note.host.as_str().into();
    }
    source
}

fn identity(about: &Value, reason: &str, message: &str) -> u64 {
    let field = text(about, "/fieldPath");
    hash64(&[text(about, "/uid"), text(about, "/name"), field, reason, message])
}
