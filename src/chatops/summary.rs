//! One line that says what a change does, in the language of the thread. The commit's subject stays English.

use std::collections::BTreeMap;

use crate::domain::{Change, Lang, ObjectRef, Operation};

/// The line.
pub(super) fn summary(lang: Lang, change: &Change) -> String {
    match lang {
        Lang::En => change.summary.clone(),
        Lang::Zh => change.operations.iter().map(chinese).collect::<Vec<_>>().join("；"),
    }
}

fn chinese(operation: &Operation) -> String {
    match operation {
        Operation::Scale { target, replicas } => {
            format!("将 {} 的副本数改为 {replicas}", place(target))
        }
        Operation::SetImage { target, container, image } => {
            let whose = of_container(container.as_ref());
            format!("将 {}{whose}的镜像改为 {}", place(target), image.trim_start_matches(':'))
        }
        Operation::SetEnv { target, container, set, unset } => {
            // values may be anything; names are enough for one line
            let names = |what: &str, names: Vec<&str>| {
                (!names.is_empty()).then(|| format!("{what} {}", names.join("、")))
            };
            let set = names("设置", set.keys().map(String::as_str).collect());
            let unset = names("移除", unset.iter().map(String::as_str).collect());
            let what: Vec<String> = [set, unset].into_iter().flatten().collect();
            let whose = of_container(container.as_ref());
            format!("修改 {}{whose}的环境变量：{}", place(target), what.join("，"))
        }
        Operation::SetResources { target, container, requests, limits } => {
            let list = |what: &str, of: &BTreeMap<String, String>| {
                let pairs: Vec<String> = of.iter().map(|(k, v)| format!("{k}={v}")).collect();
                (!pairs.is_empty()).then(|| format!("{what} {}", pairs.join(" ")))
            };
            let both = [list("请求", requests), list("上限", limits)];
            let what: Vec<String> = both.into_iter().flatten().collect();
            let whose = of_container(container.as_ref());
            format!("修改 {}{whose}的资源：{}", place(target), what.join("，"))
        }
        Operation::Restart { target, .. } => format!("重启 {}", place(target)),
        Operation::Rollback { target, revision } => {
            let revision = revision.as_ref().map(|r| r.get(..8).unwrap_or(r));
            let to = revision.map_or_else(|| "上一个状态".to_owned(), |r| format!("提交 {r}"));
            format!("将 {} 回滚到{to}", place(target))
        }
        Operation::Undo { change } => format!("撤销变更 {change}"),
    }
}

fn of_container(container: Option<&String>) -> String {
    container.map_or_else(|| " ".to_owned(), |name| format!("（容器 {name}）"))
}

fn place(object: &ObjectRef) -> String {
    match &object.namespace {
        Some(namespace) => format!("{namespace}/{}", object.name),
        None => object.name.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_has_its_line() {
        let target = ObjectRef::new("apps/v1", "Deployment", Some("demo"), "web");
        let limits = BTreeMap::from([("memory".to_owned(), "1Gi".to_owned())]);
        let set = BTreeMap::from([("A".to_owned(), "secret-looking".to_owned())]);
        for (operation, line) in [
            (
                Operation::Scale { target: target.clone(), replicas: 5 },
                "将 demo/web 的副本数改为 5",
            ),
            (
                Operation::SetImage {
                    target: target.clone(),
                    container: Some("app".into()),
                    image: ":1.2".into(),
                },
                "将 demo/web（容器 app）的镜像改为 1.2",
            ),
            (
                Operation::SetEnv {
                    target: target.clone(),
                    container: None,
                    set,
                    unset: vec!["B".into()],
                },
                "修改 demo/web 的环境变量：设置 A，移除 B",
            ),
            (
                Operation::SetResources {
                    target: target.clone(),
                    container: None,
                    requests: BTreeMap::new(),
                    limits,
                },
                "修改 demo/web 的资源：上限 memory=1Gi",
            ),
            (Operation::Rollback { target, revision: None }, "将 demo/web 回滚到上一个状态"),
        ] {
            assert_eq!(chinese(&operation), line);
        }
    }
}
