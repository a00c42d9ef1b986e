//! Who may do what: tokens, RBAC, impersonation, reviews.

use serde_json::{Value, json};

use super::{CONFIG_MAPS, PODS, Server, config_map, pod};

const ALICE: (&str, &str) = ("authorization", "Bearer alice-token");

async fn bind(server: &Server, role: &str, subject: Value) {
    let binding = json!({"metadata": {"generateName": "b-"}, "subjects": [subject],
        "roleRef": {"kind": "ClusterRole", "name": role, "apiGroup": "rbac.authorization.k8s.io"}});
    server.post("/apis/rbac.authorization.k8s.io/v1/namespaces/a/rolebindings", binding).await.ok();
}

#[tokio::test]
async fn tokens_and_roles_decide() {
    let server = Server::start().await;
    let wrong = ("authorization", "Bearer wrong");
    assert_eq!(server.send("GET", PODS, &[wrong], None).await.refused(401), "Unauthorized");
    let nobody = ("authorization", "");
    let message = server.send("GET", PODS, &[nobody], None).await.refused(403);
    assert!(
        message.contains("User \"system:anonymous\" cannot list resource \"pods\""),
        "{message}"
    );
    assert_eq!(server.send("GET", "/version", &[nobody], None).await.status, 200);
    let message = server.send("GET", PODS, &[ALICE], None).await.refused(403);
    assert_eq!(
        message,
        "pods is forbidden: User \"alice\" cannot list resource \"pods\" in API group \"\" in the namespace \"a\""
    );
    bind(&server, "view", json!({"kind": "Group", "name": "developers"})).await;
    server.send("GET", PODS, &[ALICE], None).await.ok();
    let json_body = ("content-type", "application/json");
    let body = Some(config_map("c", json!({})));
    server.send("POST", CONFIG_MAPS, &[ALICE, json_body], body.clone()).await.refused(403);
    server.send("GET", "/api/v1/namespaces/a/secrets", &[ALICE], None).await.refused(403);
    server.send("GET", "/api/v1/pods", &[ALICE], None).await.refused(403);
    bind(&server, "edit", json!({"kind": "User", "name": "alice"})).await;
    server.send("POST", CONFIG_MAPS, &[ALICE, json_body], body).await.ok();
}

#[tokio::test]
async fn names_and_subresources_are_part_of_rules() {
    let server = Server::start().await;
    server.post(PODS, pod("p", json!({}))).await.ok();
    let role = json!({"metadata": {"name": "logs"}, "rules": [
        {"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"], "resourceNames": ["p"]}]});
    server.post("/apis/rbac.authorization.k8s.io/v1/clusterroles", role).await.ok();
    bind(&server, "logs", json!({"kind": "User", "name": "alice"})).await;
    server.send("GET", &format!("{PODS}/p/log"), &[ALICE], None).await.ok();
    server.send("GET", &format!("{PODS}/p"), &[ALICE], None).await.refused(403);
    server.send("GET", &format!("{PODS}/q/log"), &[ALICE], None).await.refused(403);
}

#[tokio::test]
async fn the_admin_may_speak_as_others() {
    let server = Server::start().await;
    let as_bob = [("impersonate-user", "bob"), ("impersonate-group", "ops")];
    let review = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
    let who = server.send("POST", review, &as_bob, Some(json!({}))).await.ok();
    let info = &who["status"]["userInfo"];
    assert_eq!(
        (&info["username"], &info["groups"]),
        (&json!("bob"), &json!(["ops", "system:authenticated"]))
    );
    let message = server.send("GET", PODS, &as_bob, None).await.refused(403);
    assert!(message.contains("User \"bob\""), "{message}");
    let sneaky =
        [ALICE, ("impersonate-user", "system:admin"), ("impersonate-group", "system:masters")];
    let message = server.send("GET", PODS, &sneaky, None).await.refused(403);
    assert!(message.contains("User \"alice\" cannot impersonate resource \"users\""), "{message}");
    server.send("GET", PODS, &[("impersonate-group", "system:masters")], None).await.refused(400);
}

#[tokio::test]
async fn reviews_answer_from_the_same_rules() {
    let server = Server::start().await;
    bind(&server, "view", json!({"kind": "ServiceAccount", "name": "reader", "namespace": "a"}))
        .await;
    let ask = |user: &str, verb: &str, namespace: &str| {
        json!({"spec": {"user": user, "resourceAttributes":
            {"verb": verb, "resource": "pods", "namespace": namespace}}})
    };
    let path = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
    let reader = "system:serviceaccount:a:reader";
    for (user, verb, namespace, want) in [
        (reader, "list", "a", true),
        (reader, "delete", "a", false),
        (reader, "list", "b", false),
        ("stranger", "list", "a", false),
    ] {
        let review = server.post(path, ask(user, verb, namespace)).await.ok();
        assert_eq!(review["status"]["allowed"], want, "{user} {verb} {namespace}");
    }
    let mut masters = ask("root", "delete", "a");
    masters["spec"]["groups"] = json!(["system:masters"]);
    assert_eq!(server.post(path, masters).await.ok()["status"]["allowed"], true);
    server.post(path, json!({"spec": {"user": "x"}})).await.refused(422);
}

#[tokio::test]
async fn service_accounts_get_tokens() {
    let server = Server::start().await;
    let accounts = "/api/v1/namespaces/a/serviceaccounts";
    server.post(accounts, json!({"metadata": {"name": "robot"}})).await.ok();
    let request = json!({"spec": {"expirationSeconds": 600}});
    let made = server.post(&format!("{accounts}/robot/token"), request).await.ok();
    let token = format!("Bearer {}", made["status"]["token"].as_str().unwrap());
    let review = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
    let robot = [("authorization", token.as_str())];
    let who = server.send("POST", review, &robot, Some(json!({}))).await.ok();
    assert_eq!(who["status"]["userInfo"]["username"], "system:serviceaccount:a:robot");
    let short = json!({"spec": {"expirationSeconds": 5}});
    server.post(&format!("{accounts}/robot/token"), short).await.refused(422);
}
