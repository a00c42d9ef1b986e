//! The loop, played on a storage without an API server.

use serde_json::json;

use super::*;
use crate::sandbox::fault::{Effect, Fault, Selector};

/// A small cluster whose time moves only when told.
struct World {
    control: Control,
    storage: Storage,
    faults: Faults,
}

impl World {
    fn new(nodes: usize) -> Self {
        Self::with(nodes, None)
    }

    fn with(nodes: usize, registry: Option<Registry>) -> Self {
        let start = "2026-01-01T00:00:00Z".parse().expect("a valid timestamp");
        let storage = Storage::new(Clock::starting_at(start, 0.0));
        let faults = Faults::default();
        let settings = Settings::new(Duration::from_secs(2), registry);
        let control = Control::new(storage.clone(), faults.clone(), settings);
        let mut world = Self { control, storage, faults };
        world.create(
            "namespaces",
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "a"}}),
        );
        for number in 1..=nodes {
            let node_name = format!("n{number}");
            let resources = json!({"cpu": "4", "memory": "8Gi", "pods": "110"});
            world.create("nodes", json!({
                "apiVersion": "v1", "kind": "Node",
                "metadata": {"name": node_name, "labels": {"kubernetes.io/hostname": node_name}},
                "spec": {"podCIDR": format!("10.244.{number}.0/24")},
                "status": {"capacity": resources, "allocatable": resources},
            }));
        }
        world.settle();
        world
    }

    fn create(&mut self, resource: &str, object: Value) -> Object {
        self.storage.create(resource, object).expect("a new object")
    }

    fn settle(&mut self) {
        let mut steps = 0;
        while self.control.step() {
            steps += 1;
            assert!(steps < 100_000, "a busy loop");
        }
    }

    async fn advance(&mut self, seconds: u64) {
        self.control.advance(Duration::from_secs(seconds), &CancellationToken::new()).await;
        self.settle();
    }

    fn inject(&mut self, fault: Fault) {
        self.faults.inject(fault, self.storage.clock().now());
        self.control.reconsider();
        self.settle();
    }

    fn get(&self, resource: &str, name: &str) -> Object {
        self.storage.get(resource, Some("a"), name).expect(name)
    }

    fn pods(&self) -> Vec<Object> {
        self.storage.list("pods", Some("a")).0
    }

    fn change(&mut self, resource: &str, name: &str, change: impl FnOnce(&mut Value)) {
        self.storage
            .update(resource, Some("a"), name, |object| {
                change(object);
                Ok(())
            })
            .expect(name);
        self.settle();
    }

    fn events(&self, about: &str) -> Vec<String> {
        let mut events = self.storage.list("events", Some("a")).0;
        events.retain(|event| text(event, "/involvedObject/name") == about);
        events.sort_by_key(|event| object::time(event, "/firstTimestamp"));
        events
            .iter()
            .map(|event| format!("{}: {}", text(event, "/reason"), text(event, "/message")))
            .collect()
    }
}

fn deployment(replicas: i64, image: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "a"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "web", "image": image,
                    "resources": {"requests": {"cpu": "500m", "memory": "64Mi"}, "limits": {"memory": "128Mi"}}}]},
            },
        },
    })
}

const DEPLOYMENTS: &str = "deployments.apps";

fn count(object: &Value, field: &str) -> i64 {
    object::int(object, &format!("/status/{field}")).unwrap_or(0)
}

#[tokio::test]
async fn a_deployment_becomes_ready() {
    let mut world = World::new(2);
    world.create(DEPLOYMENTS, deployment(3, "web:1"));
    world.settle();
    assert_eq!(world.pods().len(), 3);
    assert_eq!(count(&world.get(DEPLOYMENTS, "web"), "availableReplicas"), 0);
    world.advance(3).await;
    let web = world.get(DEPLOYMENTS, "web");
    for field in
        ["replicas", "updatedReplicas", "readyReplicas", "availableReplicas", "observedGeneration"]
    {
        let want = if field == "observedGeneration" { 1 } else { 3 };
        assert_eq!(count(&web, field), want, "{field} of {web:#}");
    }
    assert_eq!(
        object::condition(&web, "Progressing").expect("set")["reason"],
        "NewReplicaSetAvailable"
    );
    assert!(object::condition_is_true(&web, "Available"));
    assert_eq!(object::annotation(&web, deployment::REVISION), "1");
    let pod = &world.pods()[0];
    assert_eq!(pod["status"]["phase"], "Running");
    let said = world.events(name(pod)).join("\n");
    for part in [
        "Scheduled: Successfully assigned a/web-",
        "Pulling: ",
        "Pulled: ",
        "Created: ",
        "Started: ",
    ] {
        assert!(said.contains(part), "{part} in {said}");
    }
    assert_eq!(
        world.events("web"),
        [format!(
            "ScalingReplicaSet: Scaled up replica set {} from 0 to 3",
            text(pod, "/metadata/ownerReferences/0/name")
        )]
    );
}

#[tokio::test]
async fn a_rollout_keeps_serving_and_ends() {
    let mut world = World::new(3);
    world.create(DEPLOYMENTS, deployment(4, "web:1"));
    world.advance(5).await;
    world.change(DEPLOYMENTS, "web", |web| {
        web["spec"]["template"]["spec"]["containers"][0]["image"] = "web:2".into();
    });
    for _ in 0..40 {
        world.advance(1).await;
        let ready = world.pods().iter().filter(|pod| object::ready_since(pod).is_some()).count();
        assert!(ready >= 3, "only {ready} serve");
    }
    let web = world.get(DEPLOYMENTS, "web");
    assert_eq!(count(&web, "updatedReplicas"), 4);
    assert_eq!(count(&web, "replicas"), 4);
    assert!(world.pods().iter().all(|pod| pod["spec"]["containers"][0]["image"] == "web:2"));
    assert_eq!(object::annotation(&web, deployment::REVISION), "2");
    // back to the first template: the old replica set is used again as revision 3
    world.change(DEPLOYMENTS, "web", |web| {
        web["spec"]["template"]["spec"]["containers"][0]["image"] = "web:1".into();
    });
    world.advance(40).await;
    assert_eq!(world.storage.list("replicasets.apps", Some("a")).0.len(), 2);
    assert_eq!(object::annotation(&world.get(DEPLOYMENTS, "web"), deployment::REVISION), "3");
}

#[tokio::test]
async fn a_bad_image_stalls_until_the_deadline() {
    let registry = Registry::from([("web".to_owned(), vec!["1".to_owned()])]);
    let mut world = World::with(3, Some(registry));
    world.create(DEPLOYMENTS, deployment(2, "web:1"));
    world.advance(5).await;
    world.change(DEPLOYMENTS, "web", |web| {
        web["spec"]["template"]["spec"]["containers"][0]["image"] = "web:9".into();
    });
    world.advance(60).await;
    let web = world.get(DEPLOYMENTS, "web");
    assert_eq!((count(&web, "readyReplicas"), count(&web, "updatedReplicas")), (2, 1));
    assert_eq!(object::condition(&web, "Progressing").expect("set")["reason"], "ReplicaSetUpdated");
    world.advance(600).await;
    let web = world.get(DEPLOYMENTS, "web");
    let progressing = object::condition(&web, "Progressing").expect("set");
    assert_eq!(
        (&progressing["status"], &progressing["reason"]),
        (&json!("False"), &json!("ProgressDeadlineExceeded"))
    );
    let broken =
        world.pods().into_iter().find(|pod| object::ready_since(pod).is_none()).expect("one");
    let waiting = &broken["status"]["containerStatuses"][0]["state"]["waiting"];
    assert!(matches!(text(waiting, "/reason"), "ImagePullBackOff" | "ErrImagePull"), "{waiting}");
    assert!(world.events(name(&broken)).iter().any(|said| said.contains("not found")));
}

#[tokio::test]
async fn faults_hit_what_they_select_and_clear() {
    let mut world = World::new(2);
    world.create(DEPLOYMENTS, deployment(1, "web:1"));
    world.advance(5).await;
    let effect = Effect::OutOfMemory { peak: Some("256Mi".into()), seconds: 20 };
    let select = Selector { name: Some("web".into()), ..Selector::default() };
    world.inject(Fault { select, effect });
    world.advance(300).await;
    let status = world.pods()[0]["status"]["containerStatuses"][0].clone();
    assert!(status["restartCount"].as_i64() > Some(2), "{status}");
    assert_eq!(status["lastState"]["terminated"]["reason"], "OOMKilled");
    // more memory is the cure
    world.change(DEPLOYMENTS, "web", |web| {
        web["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]["memory"] =
            "512Mi".into();
    });
    world.advance(120).await;
    let status = world.pods()[0]["status"]["containerStatuses"][0].clone();
    assert_eq!((&status["ready"], &status["restartCount"]), (&json!(true), &json!(0)));
}

#[tokio::test]
async fn what_does_not_fit_stays_pending_until_there_is_room() {
    let mut world = World::new(1);
    world.create(DEPLOYMENTS, deployment(9, "web:1"));
    world.advance(5).await;
    let pending: Vec<Object> =
        world.pods().into_iter().filter(|pod| text(pod, "/spec/nodeName").is_empty()).collect();
    assert_eq!(pending.len(), 1);
    let said = world.events(name(&pending[0]));
    assert!(
        said[0].starts_with("FailedScheduling: 0/1 nodes are available: 1 Insufficient cpu."),
        "{said:?}"
    );
    world.change(DEPLOYMENTS, "web", |web| web["spec"]["replicas"] = 8.into());
    world.advance(5).await;
    assert!(world.pods().iter().all(|pod| pod["status"]["phase"] == "Running"));
}

#[tokio::test]
async fn a_lost_node_loses_its_pods_after_five_minutes() {
    let mut world = World::new(2);
    world.create(DEPLOYMENTS, deployment(2, "web:1"));
    world.advance(5).await;
    let lost = text(&world.pods()[0], "/spec/nodeName").to_owned();
    let select =
        Selector { kind: Some("Node".into()), name: Some(lost.clone()), ..Selector::default() };
    world.inject(Fault { select, effect: Effect::NodeNotReady });
    world.advance(60).await;
    let node = world.storage.get("nodes", None, &lost).expect("there");
    assert_eq!(object::condition(&node, "Ready").expect("set")["status"], "Unknown");
    world.advance(360).await;
    let serving: Vec<Object> =
        world.pods().into_iter().filter(|pod| object::ready_since(pod).is_some()).collect();
    assert_eq!(serving.len(), 2);
    assert!(serving.iter().all(|pod| text(pod, "/spec/nodeName") != lost));
    world.faults.clear(|_| true);
    world.control.reconsider();
    world.advance(60).await;
    assert_eq!(world.pods().len(), 2);
    let node = world.storage.get("nodes", None, &lost).expect("there");
    assert!(
        object::condition_is_true(&node, "Ready") && node["spec"].get("taints").is_none(),
        "{node:#}"
    );
}

#[tokio::test]
async fn the_work_grows_with_the_change_and_no_faster() {
    let mut world = World::new(5);
    let mut many = deployment(500, "web:1");
    many["spec"]["template"]["spec"]["containers"][0]["resources"] =
        json!({"requests": {"cpu": "10m"}});
    world.create(DEPLOYMENTS, many);
    // each step is one controller looking at one object; a pass over everything for every pod would be millions
    let mut steps = 0;
    while world.control.step() {
        steps += 1;
        assert!(steps < 5_000, "too much work for 500 pods");
    }
    world.advance(5).await;
    assert_eq!(count(&world.get(DEPLOYMENTS, "web"), "readyReplicas"), 500);
    world.change(DEPLOYMENTS, "web", |web| web["spec"]["replicas"] = 5.into());
    world.advance(5).await;
    assert_eq!(world.pods().len(), 5);
}

#[tokio::test]
async fn every_fault_shows_as_in_a_real_cluster() {
    let named = |name: &str| Selector { name: Some(name.into()), ..Selector::default() };
    let probes =
        json!({"httpGet": {"path": "/", "port": 80}, "periodSeconds": 5, "failureThreshold": 3});
    for (effect, reason, event) in [
        ("badImage", "ImagePullBackOff", "Failed: Error: ImagePullBackOff"),
        (
            "{\"crashLoop\": {}}",
            "CrashLoopBackOff",
            "BackOff: Back-off restarting failed container web",
        ),
        (
            "{\"outOfMemory\": {\"seconds\": 1}}",
            "CrashLoopBackOff",
            "BackOff: Back-off restarting failed container web",
        ),
        (
            "{\"failReadiness\": {}}",
            "",
            "Unhealthy: Readiness probe failed: HTTP probe failed with statuscode: 503",
        ),
        (
            "{\"failLiveness\": {}}",
            "CrashLoopBackOff",
            "Killing: Container web failed liveness probe, will be restarted",
        ),
        (
            "{\"slowStart\": {\"seconds\": 600}}",
            "CrashLoopBackOff",
            "Unhealthy: Liveness probe failed: Get ",
        ),
        (
            "{\"unschedulable\": {}}",
            "",
            "FailedScheduling: 0/2 nodes are available: 2 Insufficient cpu.",
        ),
    ] {
        let mut world = World::new(2);
        let text =
            if effect.starts_with('{') { effect.to_owned() } else { format!("\"{effect}\"") };
        let effect: Effect = serde_json::from_str(&text).expect("an effect");
        world.inject(Fault { select: named("web"), effect });
        let mut web = deployment(1, "web:1");
        for probe in ["livenessProbe", "readinessProbe"] {
            web["spec"]["template"]["spec"]["containers"][0][probe] = probes.clone();
        }
        world.create(DEPLOYMENTS, web);
        world.advance(150).await;
        let pod = world.pods().remove(0);
        assert!(object::ready_since(&pod).is_none(), "{text}");
        let waiting = text_of(&pod, "/status/containerStatuses/0/state/waiting/reason");
        assert_eq!(waiting, reason, "{text}: {:#}", pod["status"]);
        let said = world.events(name(&pod));
        assert!(said.iter().any(|said| said.starts_with(event)), "{text}: {said:#?}");
        // cleared, it recovers within the longest back-off
        world.faults.clear(|_| true);
        world.control.reconsider();
        world.advance(400).await;
        assert!(object::ready_since(&world.pods()[0]).is_some(), "{text}: {:#}", world.pods()[0]);
    }
}

fn text_of<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

#[tokio::test]
async fn a_stuck_pod_ends_when_the_fault_does() {
    let mut world = World::new(1);
    world.create(DEPLOYMENTS, deployment(1, "web:1"));
    world.advance(5).await;
    world.inject(Fault { select: Selector::default(), effect: Effect::StuckTermination });
    world.change(DEPLOYMENTS, "web", |web| web["spec"]["replicas"] = 0.into());
    world.advance(600).await;
    let pods = world.pods();
    assert!(pods.len() == 1 && is_deleting(&pods[0]));
    assert!(world.events(name(&pods[0])).iter().any(|said| said.starts_with("FailedKillPod")));
    world.faults.clear(|_| true);
    world.control.reconsider();
    world.settle();
    assert!(world.pods().is_empty());
}

#[tokio::test]
async fn missing_configuration_holds_a_pod_until_it_is_there() {
    let mut world = World::new(1);
    let mut web = deployment(1, "web:1");
    web["spec"]["template"]["spec"]["containers"][0]["envFrom"] =
        json!([{"configMapRef": {"name": "settings"}}]);
    web["spec"]["template"]["spec"]["volumes"] =
        json!([{"name": "keys", "secret": {"secretName": "keys"}}]);
    world.create(DEPLOYMENTS, web);
    world.advance(30).await;
    let pod = world.pods().remove(0);
    assert_eq!(
        text_of(&pod, "/status/containerStatuses/0/state/waiting/reason"),
        "ContainerCreating"
    );
    let said = world.events(name(&pod)).join("\n");
    assert!(
        said.contains(
            "FailedMount: MountVolume.SetUp failed for volume \"keys\" : secret \"keys\" not found"
        ),
        "{said}"
    );
    world.create("secrets", json!({"metadata": {"name": "keys", "namespace": "a"}}));
    world.advance(30).await;
    let pod = world.pods().remove(0);
    assert_eq!(
        text_of(&pod, "/status/containerStatuses/0/state/waiting/reason"),
        "CreateContainerConfigError"
    );
    world.create("configmaps", json!({"metadata": {"name": "settings", "namespace": "a"}}));
    world.advance(30).await;
    assert!(object::ready_since(&world.pods()[0]).is_some());
}
