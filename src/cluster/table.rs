//! Objects as the API server's own tables: the columns `kubectl get` shows, for custom resources too.

use serde_json::Value;

use super::{Kind, mask_line};

/// A page of objects as a table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Table {
    /// Column names; the first is the object's name, preceded by its namespace where the kind has one.
    pub columns: Vec<String>,
    /// One row per object.
    pub rows: Vec<Vec<String>>,
    /// How many more objects there are.
    pub more: usize,
    /// What was asked: `GET /api/v1/...`.
    pub query: String,
}

impl Table {
    /// Adds the rows of another table of the same kind.
    pub(super) fn extend(&mut self, other: Self) {
        self.rows.extend(other.rows);
        self.more += other.more;
        self.query = format!("{}\n{}", self.query, other.query);
    }
}

/// Reads a `meta.k8s.io/v1` Table. A server that answers with a plain list gives names only.
pub(super) fn read(answer: &Value, kind: &Kind, query: String) -> Table {
    let list = |value: &Value, key: &str| -> Vec<Value> {
        value.get(key).and_then(Value::as_array).cloned().unwrap_or_default()
    };
    let text = |value: &Value, pointer: &str| {
        value.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let mut table = Table { query, ..Table::default() };
    table.more = answer
        .pointer("/metadata/remainingItemCount")
        .and_then(Value::as_u64)
        .and_then(|more| usize::try_from(more).ok())
        .unwrap_or(0);
    let columns = list(answer, "columnDefinitions");
    let shown: Vec<usize> = (0..columns.len())
        .filter(|index| columns[*index].get("priority").and_then(Value::as_i64).unwrap_or(0) == 0)
        .collect();
    if kind.namespaced {
        table.columns.push("Namespace".to_owned());
    }
    if columns.is_empty() {
        table.columns.push("Name".to_owned());
    }
    table.columns.extend(shown.iter().map(|index| text(&columns[*index], "/name")));
    for item in list(answer, "rows").iter().chain(&list(answer, "items")) {
        let object = item.get("object").unwrap_or(item);
        let cells = list(item, "cells");
        let mut row = Vec::new();
        if kind.namespaced {
            row.push(text(object, "/metadata/namespace"));
        }
        if columns.is_empty() {
            row.push(text(object, "/metadata/name"));
        }
        row.extend(shown.iter().map(|index| cells.get(*index).map_or_else(String::new, cell)));
        table.rows.push(row);
    }
    table
}

fn cell(value: &Value) -> String {
    match value {
        Value::String(text) => mask_line(text),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_table_shows_namespaces_and_the_columns_of_first_priority() {
        let kind = Kind {
            group: String::new(),
            version: "v1".to_owned(),
            kind: "Pod".to_owned(),
            plural: "pods".to_owned(),
            singular: "pod".to_owned(),
            short_names: Vec::new(),
            namespaced: true,
            verbs: Vec::new(),
        };
        let answer = json!({
            "metadata": {"remainingItemCount": 3},
            "columnDefinitions": [{"name": "Name", "priority": 0}, {"name": "Restarts"}, {"name": "IP", "priority": 1}],
            "rows": [{"cells": ["a", 2, "10.0.0.1"], "object": {"metadata": {"namespace": "x"}}}],
        });
        let table = read(&answer, &kind, String::new());
        assert_eq!(table.columns, ["Namespace", "Name", "Restarts"]);
        assert_eq!(table.rows, [["x", "a", "2"]]);
        assert_eq!(table.more, 3);
        let plain = json!({"items": [{"metadata": {"namespace": "x", "name": "b"}}]});
        assert_eq!(read(&plain, &kind, String::new()).rows, [["x", "b"]]);
    }
}
