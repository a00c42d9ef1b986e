//! Server-side apply: ownership, conflicts, force, removal.

use serde_json::{Value, json};

use super::{CONFIG_MAPS, DEPLOYMENTS, Server, config_map, deployment};

fn apply_path(collection: &str, name: &str, manager: &str) -> String {
    format!("{collection}/{name}?fieldManager={manager}")
}

fn entry<'a>(object: &'a Value, manager: &str) -> Option<&'a Value> {
    let all = object["metadata"]["managedFields"].as_array()?;
    all.iter().find(|e| e["manager"] == manager)
}

#[tokio::test]
async fn creates_and_owns_only_what_was_applied() {
    let server = Server::start().await;
    let made =
        server.patch("apply", &apply_path(DEPLOYMENTS, "web", "kubemate"), deployment("web")).await;
    assert_eq!(made.status, 201);
    let object = made.ok();
    assert_eq!(object["spec"]["replicas"], 1, "defaults are filled in");
    let entry = entry(&object, "kubemate").unwrap();
    assert_eq!((&entry["operation"], &entry["apiVersion"]), (&json!("Apply"), &json!("apps/v1")));
    assert_eq!(
        entry["fieldsV1"],
        json!({"f:spec": {"f:selector": {}, "f:template": {"f:metadata": {"f:labels": {"f:app": {}}},
            "f:spec": {"f:containers": {"k:{\"name\":\"c\"}": {".": {}, "f:image": {}, "f:name": {}}}}}}})
    );
    let again = server
        .patch("apply", &apply_path(DEPLOYMENTS, "web", "kubemate"), deployment("web"))
        .await
        .ok();
    assert_eq!(again, object, "applying the same again changes nothing, not even the revision");
}

#[tokio::test]
async fn conflicts_name_the_manager_and_the_field() {
    let server = Server::start().await;
    server.patch("apply", &apply_path(DEPLOYMENTS, "web", "alice"), deployment("web")).await.ok();
    let mut other = deployment("web");
    other["spec"]["template"]["spec"]["containers"][0]["image"] = "example.com/c:2".into();
    let path = apply_path(DEPLOYMENTS, "web", "bob");
    let refused = server.patch("apply", &path, other.clone()).await;
    let cause = refused.body["details"]["causes"][0].clone();
    assert_eq!(
        cause,
        json!({"reason": "FieldManagerConflict", "message": "conflict with \"alice\"",
            "field": ".spec.template.spec.containers[name=\"c\"].image"})
    );
    assert_eq!(
        refused.refused(409),
        "Apply failed with 1 conflict: conflict with \"alice\": .spec.template.spec.containers[name=\"c\"].image"
    );

    let forced = server.patch("apply", &format!("{path}&force=true"), other).await.ok();
    let alice = &entry(&forced, "alice").unwrap()["fieldsV1"];
    let item = "/f:spec/f:template/f:spec/f:containers/k:{\"name\":\"c\"}";
    assert!(alice.pointer(&format!("{item}/f:image")).is_none(), "alice lost the image: {alice}");
    assert!(alice.pointer(&format!("{item}/f:name")).is_some(), "and shares the rest");
    assert_eq!(forced["metadata"]["generation"], 2);
}

#[tokio::test]
async fn what_is_no_longer_applied_goes_unless_somebody_else_owns_it() {
    let server = Server::start().await;
    let path = apply_path(CONFIG_MAPS, "c", "alice");
    server.patch("apply", &path, config_map("c", json!({"mine": "1", "shared": "1"}))).await.ok();
    let bob = config_map("c", json!({"shared": "1"}));
    server.patch("apply", &apply_path(CONFIG_MAPS, "c", "bob"), bob).await.ok();
    let patch = json!({"data": {"manual": "1"}});
    let edit = format!("{CONFIG_MAPS}/c?fieldManager=edit");
    server.patch("merge", &edit, patch).await.ok();

    let left = server.patch("apply", &path, config_map("c", json!({"new": "1"}))).await.ok();
    assert_eq!(left["data"], json!({"shared": "1", "manual": "1", "new": "1"}));
}

#[tokio::test]
async fn lists_merge_by_their_keys() {
    let server = Server::start().await;
    let with = |containers: Value| {
        let mut object = deployment("web");
        object["spec"]["template"]["spec"]["containers"] = containers;
        object
    };
    let app =
        json!({"name": "app", "image": "example.com/app:1", "ports": [{"containerPort": 80}]});
    let path = apply_path(DEPLOYMENTS, "web", "alice");
    server.patch("apply", &path, with(json!([app]))).await.ok();
    let sidecar = json!({"name": "sidecar", "image": "example.com/side:1"});
    let object = server
        .patch("apply", &apply_path(DEPLOYMENTS, "web", "injector"), with(json!([sidecar])))
        .await
        .ok();
    let names = |object: &Value| -> Vec<String> {
        let list = object.pointer("/spec/template/spec/containers").unwrap().as_array().unwrap();
        list.iter().map(|c| c["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&object), ["app", "sidecar"]);

    // the first manager never mentions the sidecar, and it stays; ports are told apart by port and (default) protocol
    let mut changed = app.clone();
    changed["ports"] =
        json!([{"containerPort": 80, "name": "http"}, {"containerPort": 80, "protocol": "UDP"}]);
    let object = server.patch("apply", &path, with(json!([changed]))).await.ok();
    assert_eq!(names(&object), ["app", "sidecar"]);
    let ports = object.pointer("/spec/template/spec/containers/0/ports").unwrap();
    assert_eq!(ports.as_array().unwrap().len(), 2);
    assert_eq!(ports[0], json!({"containerPort": 80, "protocol": "TCP", "name": "http"}));
}

#[tokio::test]
async fn other_writes_are_recorded_as_updates() {
    let server = Server::start().await;
    server.patch("apply", &apply_path(DEPLOYMENTS, "web", "alice"), deployment("web")).await.ok();
    let scaled = json!({"spec": {"replicas": 3}});
    let scale = format!("{DEPLOYMENTS}/web/scale?fieldManager=hpa");
    server.patch("merge", &scale, scaled).await.ok();
    let status =
        json!({"status": {"replicas": 3, "observedGeneration": 2}, "spec": {"replicas": 9}});
    let path = format!("{DEPLOYMENTS}/web/status?fieldManager=controller");
    let object = server.patch("merge", &path, status).await.ok();
    assert_eq!(object["spec"]["replicas"], 3, "the status path changes no spec");
    assert_eq!(object["metadata"]["generation"], 2);
    let hpa = entry(&object, "hpa").unwrap();
    assert_eq!((&hpa["operation"], &hpa["subresource"]), (&json!("Update"), &json!("scale")));
    assert_eq!(hpa["fieldsV1"], json!({"f:spec": {"f:replicas": {}}}));
    let controller = entry(&object, "controller").unwrap();
    assert_eq!(controller["subresource"], "status");
    assert_eq!(
        controller["fieldsV1"],
        json!({"f:status": {"f:observedGeneration": {}, "f:replicas": {}}})
    );

    let mut wanted = deployment("web");
    wanted["spec"]["replicas"] = 5.into();
    let refused = server.patch("apply", &apply_path(DEPLOYMENTS, "web", "alice"), wanted).await;
    let message = refused.refused(409);
    assert!(message.contains("\"hpa\" with subresource \"scale\" using apps/v1"), "{message}");
}

#[tokio::test]
async fn objects_of_untracked_writers_conflict_too() {
    let server = Server::start().await;
    let mut object = config_map("c", json!({"k": "old"}));
    object["metadata"]["namespace"] = "a".into();
    server.storage.create("configmaps", object).unwrap();
    let path = apply_path(CONFIG_MAPS, "c", "alice");
    let refused = server.patch("apply", &path, config_map("c", json!({"k": "new"}))).await;
    assert!(refused.refused(409).contains("before-first-apply"));
    let same = server.patch("apply", &path, config_map("c", json!({"k": "old"}))).await.ok();
    assert!(entry(&same, "before-first-apply").is_some());
}

#[tokio::test]
async fn bad_applies_are_refused() {
    let server = Server::start().await;
    let path = apply_path(DEPLOYMENTS, "web", "alice");
    let without = format!("{DEPLOYMENTS}/web");
    let message = server.patch("apply", &without, deployment("web")).await.refused(422);
    assert!(message.contains("fieldManager: Required value"), "{message}");
    let mut managed = deployment("web");
    managed["metadata"]["managedFields"] = json!([]);
    server.patch("apply", &path, managed).await.refused(400);
    let mut unknown = deployment("web");
    unknown["spec"]["replicsa"] = 1.into();
    let message = server.patch("apply", &path, unknown).await.refused(500);
    assert!(message.ends_with(".spec.replicsa: field not declared in schema"), "{message}");
    let mut twice = deployment("web");
    twice["spec"]["template"]["spec"]["containers"] =
        json!([{"name": "c", "image": "a"}, {"name": "c", "image": "b"}]);
    let message = server.patch("apply", &path, twice).await.refused(500);
    assert!(message.contains("duplicate entries for key [name=\"c\"]"), "{message}");
}
