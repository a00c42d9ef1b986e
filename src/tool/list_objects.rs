//! Lists objects of one kind, with the columns the API server shows for it.

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Tool, ToolContext, ToolError, ToolOutput,
    read::{MAX_ROWS, clip, evidence, failed, say},
    target::arguments,
};
use crate::{
    cluster::{Cluster, Selection},
    domain::Lang,
};

/// Lists objects.
pub(super) struct ListObjects {
    pub(super) cluster: Cluster,
}

#[derive(Deserialize)]
struct Arguments {
    kind: String,
    namespace: Option<String>,
    labels: Option<String>,
    name_contains: Option<String>,
}

#[async_trait]
impl Tool for ListObjects {
    fn name(&self) -> &'static str {
        "list_objects"
    }

    async fn call(&self, context: &ToolContext, input: Value) -> Result<ToolOutput, ToolError> {
        let input: Arguments = arguments(input)?;
        let lang = context.lang;
        let read = async {
            let view = self.cluster.as_actor(&context.actor)?;
            let kind = view.kind(&input.kind).await?;
            let which = Selection {
                labels: input.labels.clone(),
                ..Selection::namespace(input.namespace.as_deref())
            };
            let table = view.table(&kind, &which).await?;
            Ok((kind, table))
        };
        let (kind, mut table) = read.await.map_err(|error| failed(lang, error))?;
        if let Some(part) = &input.name_contains {
            let name = usize::from(kind.namespaced);
            table.rows.retain(|row| row.get(name).is_some_and(|name| name.contains(part.as_str())));
        }
        let total = table.rows.len() + table.more;
        let place = match &input.namespace {
            Some(namespace) if kind.namespaced => namespace.clone(),
            _ => say(lang, "整个集群", "the whole cluster"),
        };
        let title = say(
            lang,
            format!("{place}：{total} 个 {}", kind.kind),
            format!("{total} {} in {place}", kind.plural),
        );
        let mut found = evidence(self.name(), context, title, table.query);
        found.data = json!({ "kind": kind.kind, "count": total });
        found.columns = table.columns;
        found.rows = table.rows;
        found.summary.extend(names(lang, &found.rows, kind.namespaced, input.namespace.is_none()));
        clip(&mut found, lang, MAX_ROWS, table.more);
        Ok(ToolOutput::Evidence(vec![found]))
    }
}

/// Names told in the sentence.
const NAMED: usize = 15;

/// The names, with their namespaces where several are listed.
fn names(lang: Lang, rows: &[Vec<String>], namespaced: bool, everywhere: bool) -> Option<String> {
    let name = |row: &Vec<String>| match (namespaced, everywhere, row.as_slice()) {
        (true, true, [namespace, name, ..]) => format!("{namespace}/{name}"),
        (true, false, [_, name, ..]) | (false, _, [name, ..]) => name.clone(),
        _ => String::new(),
    };
    let mut told: Vec<String> = rows.iter().take(NAMED).map(name).collect();
    let more = rows.len().saturating_sub(NAMED);
    if more > 0 {
        told.push(say(lang, format!("另有 {more} 个"), format!("and {more} more")));
    }
    (!told.is_empty()).then(|| told.join(&say(lang, "、", ", ")))
}
