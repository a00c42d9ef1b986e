//! Reading: discovery, OpenAPI, selectors, pages, tables.

use serde_json::{Value, json};

use super::{CONFIG_MAPS, PODS, Server, config_map, pod};

fn names(list: &Value) -> Vec<&str> {
    list["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|o| o["metadata"]["name"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn discovery_in_both_forms() {
    let server = Server::start().await;
    assert_eq!(server.get("/version").await.ok()["major"], "1");
    assert_eq!(server.get("/readyz").await.ok(), "ok");
    let groups = server.get("/apis").await.ok();
    let names: Vec<&str> =
        groups["groups"].as_array().unwrap().iter().map(|g| g["name"].as_str().unwrap()).collect();
    for name in ["apps", "batch", "autoscaling", "metrics.k8s.io", "apiextensions.k8s.io"] {
        assert!(names.contains(&name), "{name}");
    }
    let apps = server.get("/apis/apps/v1").await.ok();
    let all = apps["resources"].as_array().unwrap();
    let scale = all.iter().find(|r| r["name"] == "deployments/scale").unwrap();
    assert_eq!((&scale["group"], &scale["kind"]), (&json!("autoscaling"), &json!("Scale")));
    let accept =
        "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json";
    let list = server.send("GET", "/apis", &[("accept", accept)], None).await.ok();
    assert_eq!(list["kind"], "APIGroupDiscoveryList");
    assert_eq!(list["items"][0]["versions"][0]["freshness"], "Current");
    server.get("/apis/nothing.example.com/v1").await.refused(404);
    server.get("/apis/apps/v1/namespaces/a/things").await.refused(404);
}

#[tokio::test]
async fn openapi_documents_are_closed() {
    let server = Server::start().await;
    let index = server.get("/openapi/v3").await.ok();
    let url = index["paths"]["apis/apps/v1"]["serverRelativeURL"].as_str().unwrap();
    assert!(url.starts_with("/openapi/v3/apis/apps/v1?hash="), "{url}");
    let document = server.get(url).await.ok();
    let schemas = document["components"]["schemas"].as_object().unwrap();
    let text = document.to_string();
    for reference in text.split("#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(schemas.contains_key(name), "{name} is referred to and missing");
    }
    let containers = &schemas["io.k8s.api.core.v1.PodSpec"]["properties"]["containers"];
    assert_eq!(containers["x-kubernetes-list-map-keys"], json!(["name"]));
    assert!(containers["description"].is_string());
    let v2 = server.get("/openapi/v2").await.ok();
    assert!(v2["definitions"]["io.k8s.api.apps.v1.Deployment"].is_object());
}

#[tokio::test]
async fn selectors_choose() {
    let server = Server::start().await;
    for (name, labels) in [
        ("web-1", json!({"app": "web", "tier": "front"})),
        ("web-2", json!({"app": "web"})),
        ("db-1", json!({"app": "db"})),
    ] {
        server.post(PODS, pod(name, labels)).await.ok();
    }
    for (query, want) in [
        ("labelSelector=app%3Dweb", vec!["web-1", "web-2"]),
        ("labelSelector=app+in+(db,web),tier", vec!["web-1"]),
        ("labelSelector=!tier", vec!["db-1", "web-2"]),
        ("labelSelector=app!%3Dweb", vec!["db-1"]),
        ("fieldSelector=metadata.name%3Ddb-1", vec!["db-1"]),
        ("fieldSelector=status.phase%3DPending,metadata.name!%3Ddb-1", vec!["web-1", "web-2"]),
        ("fieldSelector=spec.nodeName%3Dnowhere", vec![]),
    ] {
        let list = server.get(&format!("{PODS}?{query}")).await.ok();
        assert_eq!(names(&list), want, "{query}");
    }
    server.get(&format!("{PODS}?fieldSelector=spec.color%3Dred")).await.refused(400);
    server.get(&format!("{PODS}?labelSelector=a+b+c")).await.refused(400);
}

#[tokio::test]
async fn lists_come_in_pages() {
    let server = Server::start().await;
    for i in 0..5 {
        server.post(CONFIG_MAPS, config_map(&format!("c{i}"), json!({}))).await.ok();
    }
    let first = server.get(&format!("{CONFIG_MAPS}?limit=2")).await.ok();
    assert_eq!(names(&first), ["c0", "c1"]);
    assert_eq!(first["metadata"]["remainingItemCount"], 3);
    let token = first["metadata"]["continue"].as_str().unwrap();
    let second = server.get(&format!("{CONFIG_MAPS}?limit=2&continue={token}")).await.ok();
    assert_eq!(names(&second), ["c2", "c3"]);
    let token = second["metadata"]["continue"].as_str().unwrap();
    let last = server.get(&format!("{CONFIG_MAPS}?limit=2&continue={token}")).await.ok();
    assert_eq!(names(&last), ["c4"]);
    assert!(last["metadata"].get("continue").is_none());
    server.post(CONFIG_MAPS, config_map("late", json!({}))).await.ok();
    server.storage.compact();
    server.get(&format!("{CONFIG_MAPS}?limit=2&continue={token}")).await.refused(410);
    server.get(&format!("{CONFIG_MAPS}?limit=2&continue=zz")).await.refused(400);
    server.get(&format!("{CONFIG_MAPS}?resourceVersion=99999")).await.refused(504);
}

#[tokio::test]
async fn tables_and_metadata() {
    let server = Server::start().await;
    server.post(PODS, pod("web", json!({}))).await.ok();
    let status = json!({"status": {"phase": "Running", "containerStatuses": [{"name": "c", "ready": false,
        "restartCount": 3, "state": {"waiting": {"reason": "CrashLoopBackOff"}}}]}});
    server.patch("merge", &format!("{PODS}/web/status"), status).await.ok();
    let accept = [("accept", "application/json;as=Table;v=v1;g=meta.k8s.io,application/json")];
    let table = server.send("GET", PODS, &accept, None).await.ok();
    assert_eq!(table["kind"], "Table");
    let cells = &table["rows"][0]["cells"];
    assert_eq!(
        (&cells[0], &cells[1], &cells[2], &cells[3]),
        (&json!("web"), &json!("0/1"), &json!("CrashLoopBackOff"), &json!("3"))
    );
    assert_eq!(table["rows"][0]["object"]["kind"], "PartialObjectMetadata");
    let accept = [("accept", "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1")];
    let list = server.send("GET", PODS, &accept, None).await.ok();
    assert!(list["items"][0].get("spec").is_none());
    let accept = [("accept", "application/vnd.kubernetes.protobuf")];
    server.send("GET", PODS, &accept, None).await.refused(406);
}
