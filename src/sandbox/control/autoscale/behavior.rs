//! How fast an autoscaler may act: stabilization windows and rate policies.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::super::object::{int, items, seconds, text};

/// The longest window or period that Kubernetes allows.
const LONGEST: i64 = 3600;

/// Recent recommendations and changes of one autoscaler.
#[derive(Debug, Default)]
pub(super) struct History {
    recommended: Vec<(Timestamp, i64)>,
    changes: Vec<(Timestamp, i64)>,
}

impl History {
    /// Remembers a change of the scale.
    pub(super) fn changed(&mut self, now: Timestamp, by: i64) {
        self.changes.push((now, by));
    }

    /// The size that may be set now, given what the metrics propose.
    pub(super) fn behave(
        &mut self,
        now: Timestamp,
        rules: Option<&Value>,
        current: i64,
        proposed: i64,
    ) -> i64 {
        self.recommended.push((now, proposed));
        self.recommended.retain(|(at, _)| *at + seconds(LONGEST) >= now);
        self.changes.retain(|(at, _)| *at + seconds(LONGEST) >= now);
        let rule = |direction: &str| rules.and_then(|rules| rules.get(direction));
        let (up, down) = (rule("scaleUp"), rule("scaleDown"));
        let window = |rule: Option<&Value>, default: i64| {
            let length =
                rule.and_then(|rule| int(rule, "/stabilizationWindowSeconds")).unwrap_or(default);
            now - seconds(length.clamp(0, LONGEST))
        };
        let within = |from: Timestamp| {
            self.recommended.iter().filter(move |(at, _)| *at >= from).map(|(_, size)| *size)
        };
        // up: no further than every recommendation of the window wants; down: no deeper than any
        let low = within(window(up, 0)).min().unwrap_or(proposed);
        let high = within(window(down, 300)).max().unwrap_or(proposed);
        let stable = current.clamp(low.min(high), high.max(low));
        if stable > current {
            stable.min(self.limit(now, up, current, true))
        } else {
            stable.max(self.limit(now, down, current, false))
        }
    }

    /// How far the policies let the scale go now.
    fn limit(&self, now: Timestamp, rule: Option<&Value>, current: i64, up: bool) -> i64 {
        let select = rule.map_or("", |rule| text(rule, "/selectPolicy"));
        if select == "Disabled" {
            return current;
        }
        let standard = if up {
            vec![
                json!({ "type": "Pods", "value": 4, "periodSeconds": 15 }),
                json!({ "type": "Percent", "value": 100, "periodSeconds": 15 }),
            ]
        } else {
            vec![json!({ "type": "Percent", "value": 100, "periodSeconds": 15 })]
        };
        let own = rule.map(|rule| items(rule, "/policies")).filter(|own| !own.is_empty());
        let limits = own.unwrap_or(&standard).iter().map(|policy| {
            let period = int(policy, "/periodSeconds").unwrap_or(15).clamp(1, LONGEST);
            let value = int(policy, "/value").unwrap_or(0).max(0);
            let recent = self
                .changes
                .iter()
                .filter(|(at, by)| *at + seconds(period) > now && (*by > 0) == up);
            let moved: i64 = recent.map(|(_, by)| by).sum();
            let start = current - moved;
            match (text(policy, "/type"), up) {
                ("Percent", true) => start + (start * value + 99) / 100,
                ("Percent", false) => start - start * value / 100,
                (_, true) => start + value,
                (_, false) => start - value,
            }
        });
        // the policy that allows the greatest change counts, unless Min is selected
        let widest = (select == "Min") != up;
        let limit = if widest { limits.max() } else { limits.min() };
        limit.map_or(
            current,
            |limit| if up { limit.max(current) } else { limit.min(current).max(0) },
        )
    }
}
