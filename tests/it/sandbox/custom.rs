//! Custom resource definitions and the resources they serve.

use serde_json::{Value, json};

use super::Server;

const CRDS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const WIDGETS: &str = "/apis/example.com/v1/namespaces/a/widgets";

fn definition() -> Value {
    json!({"metadata": {"name": "widgets.example.com"}, "spec": {
        "group": "example.com", "scope": "Namespaced", "names": {"plural": "widgets", "kind": "Widget", "shortNames": ["wd"]},
        "versions": [{"name": "v1", "served": true, "storage": true,
            "subresources": {"status": {}, "scale": {"specReplicasPath": ".spec.size", "statusReplicasPath": ".status.size"}},
            "additionalPrinterColumns": [{"name": "Size", "type": "integer", "jsonPath": ".spec.size"}],
            "schema": {"openAPIV3Schema": {"type": "object", "required": ["spec"], "properties": {
                "spec": {"type": "object", "required": ["color"], "properties": {
                    "size": {"type": "integer", "minimum": 0, "maximum": 9, "default": 1},
                    "color": {"type": "string", "enum": ["red", "blue"]},
                    "name": {"type": "string", "pattern": "^[a-z]+$"},
                    "parts": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["id"],
                        "items": {"type": "object", "required": ["id"], "properties": {
                            "id": {"type": "string"}, "note": {"type": "string"}}}},
                    "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}},
                "status": {"type": "object", "properties": {"size": {"type": "integer"}}}}}}}]}})
}

fn widget(spec: Value) -> Value {
    json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w"}, "spec": spec})
}

#[tokio::test]
async fn a_definition_is_served_at_once() {
    let server = Server::start().await;
    server.get(WIDGETS).await.refused(404);
    let made = server.post(CRDS, definition()).await.ok();
    let established = made["status"]["conditions"].as_array().unwrap();
    assert!(established.iter().any(|c| c["type"] == "Established" && c["status"] == "True"));
    assert_eq!(made["spec"]["names"]["listKind"], "WidgetList");
    let listed = server.get("/apis/example.com/v1").await.ok();
    assert_eq!(listed["resources"][0]["name"], "widgets");
    let document = server.get("/openapi/v3/apis/example.com/v1").await.ok();
    let schema = &document["components"]["schemas"]["com.example.v1.Widget"];
    assert_eq!(schema["properties"]["spec"]["properties"]["size"]["maximum"], 9);

    let object = server
        .post(WIDGETS, widget(json!({"color": "red", "odd": 1, "free": {"any": [1]}})))
        .await
        .ok();
    assert_eq!(object["spec"], json!({"color": "red", "size": 1, "free": {"any": [1]}}));
    assert_eq!(server.get(WIDGETS).await.ok()["kind"], "WidgetList");
    let accept = [("accept", "application/json;as=Table;v=v1;g=meta.k8s.io")];
    let table = server.send("GET", WIDGETS, &accept, None).await.ok();
    assert_eq!(table["rows"][0]["cells"], json!(["w", 1]));
    server.delete(&format!("{CRDS}/widgets.example.com")).await.ok();
    server.get(WIDGETS).await.refused(404);
}

#[tokio::test]
async fn custom_objects_are_held_to_their_schema() {
    let server = Server::start().await;
    server.post(CRDS, definition()).await.ok();
    for (spec, want) in [
        (json!({}), "spec.color: Required value"),
        (
            json!({"color": "green"}),
            "spec.color: Unsupported value: \"green\": supported values: \"red\", \"blue\"",
        ),
        (
            json!({"color": "red", "size": 10}),
            "spec.size: Invalid value: 10: spec.size in body should be less than or equal to 9",
        ),
        (
            json!({"color": "red", "size": "big"}),
            "spec.size in body must be of type integer: \"string\"",
        ),
        (json!({"color": "red", "name": "A1"}), "spec.name in body should match '^[a-z]+$'"),
    ] {
        let message = server.post(WIDGETS, widget(spec)).await.refused(422);
        assert!(message.contains(want), "{message}");
    }
    let mut bad = definition();
    bad["metadata"]["name"] = "gadgets.example.com".into();
    server.post(CRDS, bad).await.refused(422);
}

#[tokio::test]
async fn custom_objects_apply_scale_and_keep_status_apart() {
    let server = Server::start().await;
    server.post(CRDS, definition()).await.ok();
    let path = |manager: &str| format!("{WIDGETS}/w?fieldManager={manager}");
    let part = |id: &str| json!({"color": "red", "parts": [{"id": id}]});
    server.patch("apply", &path("alice"), widget(part("a"))).await.ok();
    let both = server.patch("apply", &path("bob"), widget(part("b"))).await.ok();
    assert_eq!(both["spec"]["parts"], json!([{"id": "a"}, {"id": "b"}]));
    let status = json!({"status": {"size": 4}, "spec": {"color": "blue"}});
    let object = server.patch("merge", &format!("{WIDGETS}/w/status"), status).await.ok();
    assert_eq!((&object["spec"]["color"], &object["status"]["size"]), (&json!("red"), &json!(4)));
    let scale = server.get(&format!("{WIDGETS}/w/scale")).await.ok();
    assert_eq!((&scale["spec"]["replicas"], &scale["status"]["replicas"]), (&json!(1), &json!(4)));
    server
        .patch("merge", &format!("{WIDGETS}/w/scale"), json!({"spec": {"replicas": 3}}))
        .await
        .ok();
    assert_eq!(server.get(&format!("{WIDGETS}/w")).await.ok()["spec"]["size"], 3);
    let strategic = server.patch("strategic", &format!("{WIDGETS}/w"), json!({})).await;
    strategic.refused(415);
}
