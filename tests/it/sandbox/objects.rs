//! Writing objects: conflicts, patches, validation, defaults, dry run, deletion, quota.

use serde_json::{Value, json};

use super::{CONFIG_MAPS, DEPLOYMENTS, PODS, Server, config_map, deployment, pod};

#[tokio::test]
async fn a_stale_update_is_refused() {
    let server = Server::start().await;
    let made = server.post(CONFIG_MAPS, config_map("c", json!({"k": "1"}))).await.ok();
    let path = format!("{CONFIG_MAPS}/c");
    let mut first = made.clone();
    first["data"]["k"] = "2".into();
    server.put(&path, first).await.ok();
    let message = server.put(&path, made).await.refused(409);
    assert_eq!(
        message,
        "Operation cannot be fulfilled on configmaps \"c\": the object has been modified; please apply your changes to the latest version and try again"
    );
    server
        .put(&format!("{CONFIG_MAPS}/missing"), config_map("missing", json!({})))
        .await
        .refused(404);
    let twice = server.post(CONFIG_MAPS, config_map("c", json!({}))).await;
    assert_eq!(twice.body["reason"], "AlreadyExists");
}

#[tokio::test]
async fn every_kind_of_patch() {
    let server = Server::start().await;
    server.post(DEPLOYMENTS, deployment("web")).await.ok();
    let path = format!("{DEPLOYMENTS}/web");
    let image = "/spec/template/spec/containers/0/image";
    let strategic =
        json!({"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "x:2"}]}}}});
    let object = server.patch("strategic", &path, strategic).await.ok();
    assert_eq!(object.pointer(image).unwrap(), "x:2");
    assert_eq!(
        object.pointer("/spec/template/spec/containers/0/imagePullPolicy").unwrap(),
        "IfNotPresent"
    );

    let list = json!([{"op": "test", "path": image, "value": "x:2"}, {"op": "replace", "path": image, "value": "x:3"}]);
    assert_eq!(server.patch("json", &path, list.clone()).await.ok().pointer(image).unwrap(), "x:3");
    server.patch("json", &path, list).await.refused(422);

    let merge = json!({"metadata": {"labels": {"team": "a"}}});
    let object = server.patch("merge", &path, merge).await.ok();
    assert_eq!(object["metadata"]["generation"], 3, "labels are not part of the generation");
    let stale = json!({"metadata": {"resourceVersion": "1", "labels": {"team": "b"}}});
    server.patch("merge", &path, stale).await.refused(409);
    let odd = server.send("PATCH", &path, &[("content-type", "text/plain")], Some(json!({}))).await;
    odd.refused(415);
}

#[tokio::test]
async fn dry_run_writes_nothing() {
    let server = Server::start().await;
    server.post(CONFIG_MAPS, config_map("c", json!({"k": "1"}))).await.ok();
    let revision = server.storage.revision();
    let dry = "dryRun=All";
    let made = server.post(&format!("{CONFIG_MAPS}?{dry}"), config_map("d", json!({}))).await.ok();
    assert!(made["metadata"]["uid"].is_string());
    let path = format!("{CONFIG_MAPS}/c?{dry}&fieldManager=x&force=true");
    let applied = server.patch("apply", &path, config_map("c", json!({"k": "2"}))).await.ok();
    assert_eq!(applied["data"]["k"], "2");
    let path = format!("{CONFIG_MAPS}/c?{dry}");
    server.patch("merge", &path, json!({"data": {"k": "3"}})).await.ok();
    server.delete(&path).await.ok();
    server.delete(&format!("{CONFIG_MAPS}?{dry}")).await.ok();
    server
        .post(&format!("{CONFIG_MAPS}?dryRun=Some"), config_map("d", json!({})))
        .await
        .refused(400);
    assert_eq!(server.storage.revision(), revision);
    assert_eq!(server.get(&format!("{CONFIG_MAPS}/c")).await.ok()["data"]["k"], "1");
}

#[tokio::test]
async fn broken_objects_are_refused_with_their_fields() {
    let server = Server::start().await;
    let at = |pointer: &str, value: Value| {
        let mut object = deployment("web");
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        object.pointer_mut(parent).unwrap()[key] = value;
        object
    };
    let container = "/spec/template/spec/containers/0";
    let table = [
        (
            at("/metadata/name", json!("Web_1")),
            "metadata.name",
            "a lowercase RFC 1123 subdomain must consist of",
        ),
        (
            at("/spec/replicas", json!(-1)),
            "spec.replicas",
            "Invalid value: -1: must be greater than or equal to 0",
        ),
        (
            at("/spec/selector", json!({"matchLabels": {"app": "other"}})),
            "spec.template.metadata.labels",
            "Invalid value: {\"app\":\"web\"}: `selector` does not match template `labels`",
        ),
        (
            at(&format!("{container}/image"), json!("")),
            "spec.template.spec.containers[0].image",
            "Required value",
        ),
        (
            at(&format!("{container}/ports"), json!([{"containerPort": 70000}])),
            "spec.template.spec.containers[0].ports[0].containerPort",
            "must be between 1 and 65535, inclusive",
        ),
        (
            at(
                &format!("{container}/resources"),
                json!({"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}),
            ),
            "spec.template.spec.containers[0].resources.requests",
            "Invalid value: \"2\": must be less than or equal to cpu limit of 1",
        ),
        (
            at("/metadata/labels", json!({"team": "a b"})),
            "metadata.labels",
            "a valid label must be",
        ),
    ];
    for (object, field, text) in table {
        let answer = server.post(DEPLOYMENTS, object).await;
        assert_eq!(answer.body["details"]["causes"][0]["field"], field, "{}", answer.body);
        let message = answer.refused(422);
        assert!(message.contains(text), "{message}");
    }
    let huge = server.post(DEPLOYMENTS, at("/spec/replicas", json!(10_000_000_000_i64))).await;
    let message = huge.refused(400);
    assert!(
        message.contains(
            "cannot unmarshal number 10000000000 into Go struct field spec.replicas of type int32"
        ),
        "{message}"
    );
    server.post(DEPLOYMENTS, deployment("web")).await.ok();
    let selector = json!({"spec": {"selector": {"matchLabels": {"app": "x"}}, "template": {"metadata": {"labels": {"app": "x"}}}}});
    let message = server.patch("merge", &format!("{DEPLOYMENTS}/web"), selector).await.refused(422);
    assert!(message.contains("field is immutable"), "{message}");
}

#[tokio::test]
async fn unknown_and_duplicate_fields() {
    let server = Server::start().await;
    let mut object = deployment("web");
    object["spec"]["replicsa"] = 3.into();
    let strict =
        server.post(&format!("{DEPLOYMENTS}?fieldValidation=Strict"), object.clone()).await;
    assert!(
        strict.refused(400).ends_with("strict decoding error: unknown field \"spec.replicsa\"")
    );
    let warned = server.post(DEPLOYMENTS, object).await;
    assert_eq!(warned.warnings, ["299 - \"unknown field \\\"spec.replicsa\\\"\""]);
    assert!(warned.ok()["spec"].get("replicsa").is_none());

    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let twice = r#"{"metadata":{"name":"c"},"data":{"a":"1","a":"2"}}"#;
    let answer = client
        .post(format!("{}{CONFIG_MAPS}?fieldValidation=Strict", server.url))
        .bearer_auth(super::ADMIN)
        .body(twice)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 400);
    let status: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    let message = status["message"].as_str().unwrap();
    assert!(message.ends_with("strict decoding error: duplicate field \"data.a\""), "{message}");
    server.get(&format!("{CONFIG_MAPS}/c")).await.refused(404);
}

#[tokio::test]
async fn finalizers_and_propagation() {
    let server = Server::start().await;
    let mut held = config_map("c", json!({}));
    held["metadata"]["finalizers"] = json!(["example.com/hold"]);
    server.post(CONFIG_MAPS, held).await.ok();
    let path = format!("{CONFIG_MAPS}/c");
    let pending = server.delete(&path).await.ok();
    assert!(pending["metadata"]["deletionTimestamp"].is_string());
    server.patch("merge", &path, json!({"metadata": {"finalizers": null}})).await.ok();
    server.get(&path).await.refused(404);

    server.post(DEPLOYMENTS, deployment("web")).await.ok();
    let path = format!("{DEPLOYMENTS}/web");
    let body = json!({"propagationPolicy": "Foreground", "preconditions": {"uid": "other"}});
    let json_body = [("content-type", "application/json")];
    server.send("DELETE", &path, &json_body, Some(body)).await.refused(409);
    let body = json!({"propagationPolicy": "Foreground"});
    let pending = server.send("DELETE", &path, &json_body, Some(body)).await.ok();
    assert_eq!(pending["metadata"]["finalizers"], json!(["foregroundDeletion"]));
    server.delete("/api/v1/namespaces/default").await.refused(403);
}

#[tokio::test]
async fn services_get_addresses_and_keep_them() {
    let server = Server::start().await;
    let path = "/api/v1/namespaces/a/services";
    let service =
        json!({"metadata": {"name": "web"}, "spec": {"type": "NodePort", "ports": [{"port": 80}]}});
    let made = server.post(path, service.clone()).await.ok();
    let ip = made["spec"]["clusterIP"].as_str().unwrap();
    assert!(ip.starts_with("10."), "{ip}");
    let node_port = made["spec"]["ports"][0]["nodePort"].as_i64().unwrap();
    assert!((30000..=32767).contains(&node_port));
    let replaced = server.put(&format!("{path}/web"), service).await.ok();
    assert_eq!(replaced["spec"]["clusterIP"], ip);
    assert_eq!(replaced["spec"]["ports"][0]["nodePort"], node_port);
    let other = json!({"spec": {"clusterIP": "10.96.9.9"}});
    server.patch("merge", &format!("{path}/web"), other).await.refused(422);
}

#[tokio::test]
async fn quotas_and_limits_hold_pods_back() {
    let server = Server::start().await;
    let quota =
        json!({"metadata": {"name": "q"}, "spec": {"hard": {"pods": "2", "requests.cpu": "1"}}});
    server.post("/api/v1/namespaces/a/resourcequotas", quota).await.ok();
    let message = server.post(PODS, pod("p", json!({}))).await.refused(403);
    assert_eq!(
        message,
        "pods \"p\" is forbidden: failed quota: q: must specify requests.cpu for: c"
    );
    let range = json!({"metadata": {"name": "l"}, "spec": {"limits": [{"type": "Container",
        "defaultRequest": {"cpu": "600m"}, "max": {"cpu": "2"}}]}});
    server.post("/api/v1/namespaces/a/limitranges", range).await.ok();
    let made = server.post(PODS, pod("p", json!({}))).await.ok();
    assert_eq!(made["spec"]["containers"][0]["resources"]["requests"]["cpu"], "600m");
    let message = server.post(PODS, pod("p2", json!({}))).await.refused(403);
    assert_eq!(
        message,
        "pods \"p2\" is forbidden: exceeded quota: q, requested: requests.cpu=600m, used: requests.cpu=600m, limited: requests.cpu=1"
    );
    let elsewhere = "/api/v1/namespaces/nowhere/pods";
    assert_eq!(
        server.post(elsewhere, pod("p", json!({}))).await.refused(404),
        "namespaces \"nowhere\" not found"
    );
}

#[tokio::test]
async fn disruption_budgets_stop_evictions() {
    let server = Server::start().await;
    server.post(PODS, pod("p", json!({"app": "web"}))).await.ok();
    let running = json!({"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}});
    server.patch("merge", &format!("{PODS}/p/status"), running).await.ok();
    let budgets = "/apis/policy/v1/namespaces/a/poddisruptionbudgets";
    let budget = json!({"metadata": {"name": "b"}, "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "web"}}}});
    server.post(budgets, budget).await.ok();
    let status = |allowed: i64| json!({"status": {"observedGeneration": 1, "disruptionsAllowed": allowed, "currentHealthy": 1, "desiredHealthy": 1}});
    server.patch("merge", &format!("{budgets}/b/status"), status(0)).await.ok();
    let eviction =
        || json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "p"}});
    let path = format!("{PODS}/p/eviction");
    let message = server.post(&path, eviction()).await.refused(429);
    assert_eq!(message, "Cannot evict pod as it would violate the pod's disruption budget.");
    server.patch("merge", &format!("{budgets}/b/status"), status(1)).await.ok();
    server.post(&path, eviction()).await.ok();
    server.get(&format!("{PODS}/p")).await.refused(404);
    let budget = server.get(&format!("{budgets}/b")).await.ok();
    assert_eq!(budget["status"]["disruptionsAllowed"], 0);
}

#[tokio::test]
async fn versions_of_one_kind_are_one_object() {
    let server = Server::start().await;
    let v1 = "/apis/autoscaling/v1/namespaces/a/horizontalpodautoscalers";
    let v2 = "/apis/autoscaling/v2/namespaces/a/horizontalpodautoscalers";
    let body = json!({"metadata": {"name": "h"}, "spec": {"maxReplicas": 5, "targetCPUUtilizationPercentage": 70,
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}}});
    assert_eq!(server.post(v1, body).await.ok()["spec"]["targetCPUUtilizationPercentage"], 70);
    let seen = server.get(&format!("{v2}/h")).await.ok();
    assert_eq!(seen["apiVersion"], "autoscaling/v2");
    assert_eq!(seen.pointer("/spec/metrics/0/resource/target/averageUtilization").unwrap(), 70);
}
