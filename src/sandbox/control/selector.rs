//! Label selectors: `matchLabels`, `matchExpressions`, and node selector terms.

use serde_json::Value;

use super::object::{items, text};

/// Whether a `metav1.LabelSelector` matches the labels; an absent selector matches nothing, an empty one everything.
pub(crate) fn matches(selector: Option<&Value>, labels: Option<&Value>) -> bool {
    let Some(selector) = selector.filter(|selector| selector.is_object()) else { return false };
    matches_map(selector.get("matchLabels"), labels)
        && items(selector, "/matchExpressions")
            .iter()
            .all(|requirement| requirement_holds(requirement, label(labels, requirement)))
}

/// Whether every pair of a plain selector map is among the labels; an absent map holds.
pub(crate) fn matches_map(wanted: Option<&Value>, labels: Option<&Value>) -> bool {
    wanted.and_then(Value::as_object).is_none_or(|wanted| {
        wanted.iter().all(|(key, value)| labels.and_then(|l| l.get(key)) == Some(value))
    })
}

/// Whether a node satisfies a `NodeSelector`: one of its terms holds entirely.
pub(crate) fn node_selector_holds(selector: &Value, node: &Value) -> bool {
    let labels = node.pointer("/metadata/labels");
    items(selector, "/nodeSelectorTerms").iter().any(|term| {
        let expressions = items(term, "/matchExpressions");
        let fields = items(term, "/matchFields");
        if expressions.is_empty() && fields.is_empty() {
            return false;
        }
        expressions.iter().all(|wanted| requirement_holds(wanted, label(labels, wanted)))
            && fields.iter().all(|wanted| {
                let name = node.pointer("/metadata/name").and_then(Value::as_str);
                wanted["key"] == "metadata.name" && requirement_holds(wanted, name)
            })
    })
}

fn label<'a>(labels: Option<&'a Value>, requirement: &Value) -> Option<&'a str> {
    labels.and_then(|labels| labels.get(text(requirement, "/key"))).and_then(Value::as_str)
}

fn requirement_holds(requirement: &Value, value: Option<&str>) -> bool {
    let listed = || items(requirement, "/values").iter().any(|one| one.as_str() == value);
    let number = |text: &str| text.parse::<i64>().ok();
    let bound = || items(requirement, "/values").first().and_then(Value::as_str).and_then(number);
    match text(requirement, "/operator") {
        "In" => value.is_some() && listed(),
        "NotIn" => value.is_none() || !listed(),
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        "Gt" => value.and_then(number).zip(bound()).is_some_and(|(have, bound)| have > bound),
        "Lt" => value.and_then(number).zip(bound()).is_some_and(|(have, bound)| have < bound),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn label_selectors() {
        let labels = json!({"app": "a", "tier": "web"});
        for (selector, holds) in [
            (json!({}), true),
            (json!({"matchLabels": {"app": "a"}}), true),
            (json!({"matchLabels": {"app": "b"}}), false),
            (
                json!({"matchExpressions": [{"key": "app", "operator": "In", "values": ["a", "c"]}]}),
                true,
            ),
            (
                json!({"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["a"]}]}),
                false,
            ),
            (
                json!({"matchExpressions": [{"key": "zone", "operator": "NotIn", "values": ["a"]}]}),
                true,
            ),
            (json!({"matchExpressions": [{"key": "zone", "operator": "Exists"}]}), false),
            (json!({"matchExpressions": [{"key": "zone", "operator": "DoesNotExist"}]}), true),
            (json!({"matchExpressions": [{"key": "app", "operator": "Odd"}]}), false),
        ] {
            assert_eq!(matches(Some(&selector), Some(&labels)), holds, "{selector}");
        }
        assert!(!matches(None, Some(&labels)));
        assert!(!matches(Some(&json!({"matchLabels": {"a": "b"}})), None));
    }
}
