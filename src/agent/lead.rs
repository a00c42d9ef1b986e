//! The part of an answer that code writes: what was found, in sentences, and of a description what was asked about.

use super::{
    scan::{Item, What},
    values,
};
use crate::domain::{Evidence, Lang};

/// Rows of a description told at most.
const TOLD: usize = 8;

/// What was found. Never empty.
pub(super) fn lead(evidence: &[Evidence], items: &[Item], lang: Lang) -> String {
    let mut parts: Vec<String> = Vec::new();
    for (at, one) in evidence.iter().enumerate() {
        if is_detail(one, &evidence[..at], items) {
            continue;
        }
        let mut part = one.title.clone();
        for line in told(one, items, lang) {
            part.push_str(&format!("\n- {line}"));
        }
        if !parts.contains(&part) {
            parts.push(part);
        }
    }
    parts.join("\n\n")
}

/// A table that only details what the same call told before.
fn is_detail(one: &Evidence, before: &[Evidence], items: &[Item]) -> bool {
    match one.tool.as_str() {
        "rollout_status" => one.summary.is_empty() && before.iter().any(|e| e.tool == one.tool),
        // events of a described object, when one of its fields was asked for or nothing odd happened
        "describe_object" if !one.summary.is_empty() => {
            asked(items).next().is_some() || one.data["warnings"] == 0
        }
        _ => false,
    }
}

/// Whether the evidence tells of something that is worth explaining.
pub(super) fn needs_words(evidence: &[Evidence]) -> bool {
    evidence.iter().any(|one| match one.tool.as_str() {
        "problems" => !one.summary.is_empty(),
        "pod_logs" => one.data["errors"].as_u64().is_some_and(|errors| errors > 0),
        "events" => one.data["warnings"].as_u64().is_some_and(|warnings| warnings > 0),
        _ => false,
    })
}

fn told(one: &Evidence, items: &[Item], lang: Lang) -> Vec<String> {
    if !one.summary.is_empty() {
        return one.summary.clone();
    }
    if one.tool == "describe_object" && !one.rows.is_empty() {
        return fields(&one.rows, items);
    }
    match (&one.text, one.rows.len()) {
        (Some(text), _) if text.trim().is_empty() => {
            vec![super::reply::pick(lang, "没有记录。", "No entries.")]
        }
        (Some(text), _) => text.lines().rev().take(3).map(str::to_owned).collect(),
        (None, _) => one.rows.iter().take(5).map(|row| cells(one, row)).collect(),
    }
}

fn cells(one: &Evidence, row: &[String]) -> String {
    let cells = one.columns.iter().zip(row).filter(|(_, cell)| !cell.is_empty());
    cells.map(|(column, cell)| format!("{column} {cell}")).collect::<Vec<_>>().join(", ")
}

/// Words of questions and the fields of objects they mean.
#[rustfmt::skip]
const FIELDS: [(&str, &str); 16] = [
    ("image|images|version|镜像|版本", ".image"),
    ("replica|replicas|副本|几个实例", ".replicas"),
    ("memory|mem|ram|内存", ".memory"),
    ("cpu|cpus|cores|核", ".cpu"),
    ("limit|limits|上限|限制", ".limits"),
    ("request|requests|请求", ".requests"),
    ("port|ports|端口", "port"),
    ("env|environment variable|environment variables|variables|环境变量|变量", ".env"),
    ("probe|probes|探针|健康检查", "probe"),
    ("label|labels|标签", "label"),
    ("annotation|annotations|注解", "annotation"),
    ("strategy|surge|策略", "strategy"),
    ("schedule|cron|定时|计划", ".schedule"),
    ("host|hosts|domain|url|域名|地址", "host"),
    ("storage|volume|volumes|disk|存储|磁盘|卷", "storage"),
    ("data|content|contents|内容|数据", "data"),
];
/// What is told of an object when the question names none of its fields.
const USUAL: [&str; 7] =
    [".replicas", ".image", ".limits.", ".requests.", ".schedule", "port", "host"];

/// The fields a question asks for.
fn asked(items: &[Item]) -> impl Iterator<Item = &'static str> {
    let text: String = items.iter().map(|i| format!(" {} ", i.text.to_lowercase())).collect();
    let said = move |word: &str| {
        let latin = word.is_ascii();
        text.contains(&if latin { format!(" {word} ") } else { word.to_owned() })
    };
    FIELDS.iter().filter(move |(words, _)| words.split('|').any(&said)).map(|(_, field)| *field)
}

/// A row as `field: value`, less what all fields of a pod's template begin with.
fn short(row: &[String]) -> String {
    let row = row.join(": ");
    let parts = ["spec.jobTemplate.spec.template.spec.", "spec.template.spec.", "spec."];
    parts.iter().find_map(|part| row.strip_prefix(part)).unwrap_or(&row).to_owned()
}

/// The rows a question asks for.
fn fields(rows: &[Vec<String>], items: &[Item]) -> Vec<String> {
    let keys: Vec<String> = items
        .iter()
        .filter(|i| i.what == What::Unknown && values::is_env_key(&i.text))
        .map(|i| format!("[{}]", i.text.to_lowercase()))
        .collect();
    let asked: Vec<&str> = asked(items).collect();
    let name = |row: &Vec<String>| row.first().map(|f| f.to_lowercase()).unwrap_or_default();
    let status = |name: &str| name.starts_with("status");
    let of = |test: &dyn Fn(&str) -> bool| -> Vec<String> {
        let rows = rows.iter().filter(|row| !status(&name(row)) && test(&name(row)));
        rows.take(TOLD).map(|row| short(row)).collect()
    };
    let by_key = of(&|name| keys.iter().any(|key| name.contains(key)));
    if !by_key.is_empty() {
        return by_key;
    }
    // "memory limit": both words have to fit
    let all = of(&|name| !asked.is_empty() && asked.iter().all(|field| name.contains(field)));
    if !all.is_empty() {
        return all;
    }
    let any = of(&|name| asked.iter().any(|field| name.contains(field)));
    if !any.is_empty() {
        return any;
    }
    let usual = of(&|name| USUAL.iter().any(|field| name.contains(field)));
    if usual.is_empty() { of(&|_| true) } else { usual }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        agent::{names::Names, scan::scan},
        domain::Inventory,
    };

    #[test]
    fn a_description_tells_what_was_asked() {
        let container = "spec.template.spec.containers[app]";
        let rows: Vec<Vec<String>> = [
            ("labels", "app=a"),
            ("spec.replicas", "3"),
            (&*format!("{container}.image"), "a:1"),
            (&*format!("{container}.env[LOG_LEVEL].value"), "debug"),
            (&*format!("{container}.resources.limits.cpu"), "1"),
            (&*format!("{container}.resources.limits.memory"), "512Mi"),
            (&*format!("{container}.resources.requests.memory"), "256Mi"),
            ("status.replicas", "3"),
        ]
        .iter()
        .map(|(field, value)| vec![(*field).to_owned(), (*value).to_owned()])
        .collect();
        let inventory = Inventory::default();
        let names = Names::of(&inventory);
        for (question, want) in [
            ("what is the memory limit of a?", "limits.memory: 512Mi"),
            ("a 的内存上限是多少", "limits.memory: 512Mi"),
            ("which image does a run", "image: a:1"),
            ("LOG_LEVEL of a", "value: debug"),
            ("a 有几个副本", "replicas: 3"),
        ] {
            let told = fields(&rows, &scan(question, &names));
            assert_eq!(told.len(), 1, "{question}: {told:?}");
            assert!(told[0].ends_with(want), "{question}: {told:?}");
        }
        assert!(fields(&rows, &scan("describe a", &names)).len() > 3);
    }
}
