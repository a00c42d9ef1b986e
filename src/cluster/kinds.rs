//! Discovery: which kinds the cluster serves and what people call them.

use futures::{StreamExt as _, stream};
use serde_json::Value;

use super::{ClusterError, View};

/// Groups asked at once.
const CONCURRENCY: usize = 8;

/// What people say in Chinese, and the resource they mean.
const CHINESE: [(&str, &str); 16] = [
    ("节点", "nodes"),
    ("命名空间", "namespaces"),
    ("服务", "services"),
    ("部署", "deployments"),
    ("容器组", "pods"),
    ("配置", "configmaps"),
    ("配置项", "configmaps"),
    ("密钥", "secrets"),
    ("保密字典", "secrets"),
    ("事件", "events"),
    ("任务", "jobs"),
    ("定时任务", "cronjobs"),
    ("存储卷声明", "persistentvolumeclaims"),
    ("存储卷", "persistentvolumes"),
    ("路由", "ingresses"),
    ("配额", "resourcequotas"),
];

/// A kind as the cluster serves it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kind {
    /// API group; empty for the core group.
    pub group: String,
    /// `v1`.
    pub version: String,
    /// `Deployment`.
    pub kind: String,
    /// `deployments`.
    pub plural: String,
    /// `deployment`.
    pub singular: String,
    /// `deploy`.
    pub short_names: Vec<String>,
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
    /// `get`, `list`, ...
    pub verbs: Vec<String>,
}

/// Every kind of a cluster.
#[derive(Debug, Clone, Default)]
pub struct Kinds {
    kinds: Vec<Kind>,
}

impl Kind {
    /// `apps/v1`, or `v1` for the core group.
    #[must_use]
    pub fn api_version(&self) -> String {
        match self.group.as_str() {
            "" => self.version.clone(),
            group => format!("{group}/{}", self.version),
        }
    }

    /// The URL path of its objects, or of one.
    ///
    /// # Errors
    /// When a name is none.
    pub fn path(
        &self,
        namespace: Option<&str>,
        name: Option<&str>,
    ) -> Result<String, ClusterError> {
        let mut path = match self.group.as_str() {
            "" => format!("/api/{}", self.version),
            group => format!("/apis/{group}/{}", self.version),
        };
        if let Some(namespace) = namespace.filter(|_| self.namespaced) {
            path.push_str(&format!("/namespaces/{}", segment(namespace)?));
        }
        path.push_str(&format!("/{}", self.plural));
        if let Some(name) = name {
            path.push_str(&format!("/{}", segment(name)?));
        }
        Ok(path)
    }

    fn is_called(&self, name: &str) -> bool {
        let own = [self.kind.to_lowercase(), self.plural.clone(), self.singular.clone()];
        let full = format!("{}.{}", self.plural, self.group);
        own.iter().chain(&self.short_names).any(|own| own == name) || full == name
    }

    /// Kinds of Kubernetes itself come before those of others with the same name.
    fn rank(&self) -> usize {
        match self.group.as_str() {
            "" => 0,
            "apps" => 1,
            "events.k8s.io" => 3,
            group if !group.contains('.') || group.ends_with(".k8s.io") => 2,
            _ => 4,
        }
    }
}

impl Kinds {
    /// The kind called `name` (kind, plural, singular, short name, `plural.group`), in any case.
    ///
    /// # Errors
    /// [`ClusterError::NotFound`] with what comes near.
    pub fn find(&self, name: &str) -> Result<&Kind, ClusterError> {
        let wanted = name.trim().to_lowercase();
        let wanted =
            CHINESE.iter().find(|(said, _)| *said == wanted).map_or(wanted.as_str(), |(_, k)| k);
        let called = self.kinds.iter().filter(|kind| kind.is_called(wanted));
        called.min_by_key(|kind| kind.rank()).ok_or_else(|| {
            let near =
                |kind: &&Kind| strsim::jaro_winkler(&kind.kind.to_lowercase(), wanted) > 0.85;
            let near: Vec<&str> =
                self.kinds.iter().filter(near).map(|kind| kind.kind.as_str()).take(3).collect();
            let hint = match near.as_slice() {
                [] => "see list_objects with kind customresourcedefinitions".to_owned(),
                near => format!("did you mean {}", near.join(" or ")),
            };
            ClusterError::NotFound(format!("the cluster serves no kind '{name}'; {hint}"))
        })
    }

    /// Every kind, one version each.
    pub fn iter(&self) -> impl Iterator<Item = &Kind> {
        self.kinds.iter()
    }

    /// Adds the resources of one `APIResourceList`.
    fn add(&mut self, group: &str, version: &str, list: &Value) {
        let resources = list.get("resources").and_then(Value::as_array).into_iter().flatten();
        for resource in resources {
            let text = |key: &str| resource.get(key).and_then(Value::as_str).unwrap_or_default();
            if text("name").contains('/') || text("name").is_empty() {
                continue;
            }
            let texts = |key: &str| -> Vec<String> {
                let list = resource.get(key).and_then(Value::as_array).into_iter().flatten();
                list.filter_map(Value::as_str).map(str::to_owned).collect()
            };
            let kind = text("kind").to_owned();
            let singular = match text("singularName") {
                "" => kind.to_lowercase(),
                singular => singular.to_owned(),
            };
            self.kinds.push(Kind {
                group: group.to_owned(),
                version: version.to_owned(),
                plural: text("name").to_owned(),
                singular,
                short_names: texts("shortNames"),
                namespaced: resource.get("namespaced") == Some(&Value::Bool(true)),
                verbs: texts("verbs"),
                kind,
            });
        }
    }
}

/// Asks for the preferred version of every group. A group that does not answer (an API service that is down) is left out.
pub(super) async fn discover(view: &View) -> Result<Kinds, ClusterError> {
    let groups = view.get("/apis").await?;
    let groups = groups.get("groups").and_then(Value::as_array).cloned().unwrap_or_default();
    let preferred = groups.iter().filter_map(|group| {
        let name = group.get("name")?.as_str()?;
        Some((name.to_owned(), group.pointer("/preferredVersion/version")?.as_str()?.to_owned()))
    });
    let mut wanted = vec![(String::new(), "v1".to_owned())];
    wanted.extend(preferred);
    let lists = stream::iter(wanted.into_iter().map(|(group, version)| async move {
        let path = match group.as_str() {
            "" => format!("/api/{version}"),
            group => format!("/apis/{group}/{version}"),
        };
        let list = view.get(&path).await;
        (group, version, list)
    }));
    let lists: Vec<_> = lists.buffered(CONCURRENCY).collect().await;
    let mut kinds = Kinds::default();
    for (group, version, list) in lists {
        match list {
            Ok(list) => kinds.add(&group, &version, &list),
            Err(error) if group.is_empty() => return Err(error),
            Err(error) => tracing::debug!(%group, %error, "discovering a group"),
        }
    }
    Ok(kinds)
}

/// A name as one segment of a URL path.
pub(super) fn segment(name: &str) -> Result<&str, ClusterError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | ':');
    if name.is_empty() || name.len() > 253 || !name.chars().all(plain) || name.starts_with('.') {
        return Err(ClusterError::NotFound(format!("'{name}' is no name of an object")));
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn kinds() -> Kinds {
        let mut kinds = Kinds::default();
        let resource = |name: &str, kind: &str, short: &[&str], namespaced: bool| json!({"name": name, "kind": kind, "shortNames": short, "namespaced": namespaced, "verbs": ["list"]});
        let custom = json!({"resources": [resource("services", "Service", &[], true)]});
        kinds.add("serving.example.com", "v1", &custom);
        let core = json!({"resources": [
            resource("services", "Service", &["svc"], true), resource("nodes", "Node", &["no"], false),
            resource("pods/log", "Pod", &[], true),
        ]});
        kinds.add("", "v1", &core);
        let apps = json!({"resources": [resource("deployments", "Deployment", &["deploy"], true)]});
        kinds.add("apps", "v1", &apps);
        kinds
    }

    #[test]
    fn a_kind_is_found_by_any_of_its_names() {
        for (name, group, plural) in [
            ("Deployment", "apps", "deployments"),
            ("deploy", "apps", "deployments"),
            ("DEPLOYMENTS", "apps", "deployments"),
            ("svc", "", "services"),
            ("services", "", "services"),
            ("services.serving.example.com", "serving.example.com", "services"),
            ("节点", "", "nodes"),
        ] {
            let kinds = kinds();
            let kind = kinds.find(name).unwrap();
            assert_eq!((kind.group.as_str(), kind.plural.as_str()), (group, plural), "{name}");
        }
        let error = kinds().find("deploymnt").unwrap_err().to_string();
        assert!(error.contains("did you mean Deployment"), "{error}");
    }

    #[test]
    fn paths_hold_only_names() {
        let kinds = kinds();
        let deployment = kinds.find("deploy").unwrap();
        assert_eq!(
            deployment.path(Some("a"), Some("b")).unwrap(),
            "/apis/apps/v1/namespaces/a/deployments/b"
        );
        assert_eq!(
            kinds.find("no").unwrap().path(Some("a"), Some("n1")).unwrap(),
            "/api/v1/nodes/n1"
        );
        for name in ["../secrets", "a/b", "", "a?x", "a%2f"] {
            assert!(deployment.path(Some(name), None).is_err(), "{name}");
        }
    }
}
