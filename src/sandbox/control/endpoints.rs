//! Services: which pods serve each one, as Endpoints and as an `EndpointSlice`.

use serde_json::{Value, json};

use super::{
    object::{
        Key, Object, condition_is_true, controlled_by, hash64, is_deleting, is_finished, items,
        kind, name, namespace, suffix, text, uid,
    },
    selector,
    view::{Plan, View},
};

const SLICES: &str = "endpointslices.discovery.k8s.io";

/// Brings the endpoints of one service up to date.
pub(crate) fn reconcile(view: &View<'_>, key: &Key) -> Plan {
    let mut plan = Plan::default();
    let Some(service) = view.at(key).filter(|service| !is_deleting(service)) else {
        if let Some(left) = view.get("endpoints", &key.namespace, &key.name) {
            plan.delete("endpoints", &left);
        }
        return plan;
    };
    balance(view, key, &service, &mut plan);
    let selector = service
        .pointer("/spec/selector")
        .filter(|map| map.as_object().is_some_and(|m| !m.is_empty()));
    if selector.is_none() || text(&service, "/spec/type") == "ExternalName" {
        return plan;
    }
    let mut pods = view.list("pods", &key.namespace);
    pods.retain(|pod| {
        !is_finished(pod)
            && !text(pod, "/status/podIP").is_empty()
            && selector::matches_map(selector, pod.pointer("/metadata/labels"))
    });
    write_endpoints(view, &service, &pods, &mut plan);
    write_slice(view, &service, &pods, &mut plan);
    plan
}

fn is_ready(service: &Value, pod: &Value) -> bool {
    service["spec"]["publishNotReadyAddresses"] == true
        || (condition_is_true(pod, "Ready") && !is_deleting(pod))
}

/// The ports of the service as one pod has them.
fn ports(service: &Value, pod: &Value) -> Vec<Value> {
    items(service, "/spec/ports")
        .iter()
        .filter_map(|port| {
            let number = match port.get("targetPort") {
                None | Some(Value::Null) => port["port"].as_i64(),
                Some(Value::String(named)) => items(pod, "/spec/containers")
                    .iter()
                    .flat_map(|container| items(container, "/ports"))
                    .find(|one| one["name"] == named.as_str())
                    .and_then(|one| one["containerPort"].as_i64())
                    .or_else(|| named.parse().ok()),
                Some(number) => {
                    number.as_i64().filter(|number| *number != 0).or(port["port"].as_i64())
                }
            }?;
            let protocol = port["protocol"].as_str().unwrap_or("TCP");
            let mut made = json!({ "port": number, "protocol": protocol });
            if let Some(named) = port["name"].as_str() {
                made["name"] = named.into();
            }
            Some(made)
        })
        .collect()
}

fn target(pod: &Value) -> Value {
    json!({ "kind": kind_or_pod(pod), "namespace": namespace(pod), "name": name(pod), "uid": uid(pod) })
}

fn kind_or_pod(pod: &Value) -> &str {
    match kind(pod) {
        "" => "Pod",
        kind => kind,
    }
}

fn write_endpoints(view: &View<'_>, service: &Object, pods: &[Object], plan: &mut Plan) {
    let address = |pod: &&Object| {
        json!({
            "ip": pod["status"]["podIP"],
            "nodeName": pod["spec"]["nodeName"],
            "targetRef": target(pod),
        })
    };
    let alive: Vec<&Object> = pods.iter().filter(|pod| !is_deleting(pod)).collect();
    let (ready, not_ready): (Vec<&Object>, Vec<&Object>) =
        alive.iter().partition(|pod| is_ready(service, pod));
    let mut subsets = vec![];
    if let Some(any) = alive.first() {
        let mut subset = json!({});
        for (field, pods) in [("addresses", &ready), ("notReadyAddresses", &not_ready)] {
            if !pods.is_empty() {
                subset[field] = pods.iter().map(address).collect();
            }
        }
        subset["ports"] = ports(service, any).into();
        subsets.push(subset);
    }
    let key = Key::new("endpoints", namespace(service), name(service));
    let subsets: Value = subsets.into();
    match view.at(&key) {
        None => plan.create(json!({
            "apiVersion": "v1",
            "kind": "Endpoints",
            "metadata": {
                "name": name(service),
                "namespace": namespace(service),
                "labels": labels(service, "endpoints.kubernetes.io/managed-by", "endpoint-controller"),
            },
            "subsets": subsets,
        })),
        Some(old) => {
            let mut new = (*old).clone();
            new["subsets"] = subsets;
            plan.replace(&key, &old, new);
        }
    }
}

/// The service's own labels and who made the object.
fn labels(service: &Value, by: &str, who: &str) -> Value {
    let mut labels = service["metadata"]["labels"].clone();
    if !labels.is_object() {
        labels = json!({});
    }
    labels[by] = who.into();
    labels
}

fn write_slice(view: &View<'_>, service: &Object, pods: &[Object], plan: &mut Plan) {
    let endpoint = |pod: &Object| {
        let serving = condition_is_true(pod, "Ready");
        json!({
            "addresses": [pod["status"]["podIP"]],
            "conditions": {
                "ready": is_ready(service, pod),
                "serving": serving,
                "terminating": is_deleting(pod),
            },
            "nodeName": pod["spec"]["nodeName"],
            "targetRef": target(pod),
        })
    };
    let endpoints: Value = pods.iter().map(endpoint).collect();
    let ports: Value = pods.first().map(|pod| ports(service, pod)).unwrap_or_default().into();
    let slice_name = format!("{}-{}", name(service), suffix(hash64(&[uid(service)]), 5));
    let key = Key::new(SLICES, namespace(service), &slice_name);
    match view.at(&key) {
        None => {
            let who = "endpointslice-controller.k8s.io";
            let mut labels = labels(service, "endpointslice.kubernetes.io/managed-by", who);
            labels["kubernetes.io/service-name"] = name(service).into();
            plan.create(json!({
                "apiVersion": "discovery.k8s.io/v1",
                "kind": "EndpointSlice",
                "metadata": {
                    "name": slice_name,
                    "generateName": format!("{}-", name(service)),
                    "namespace": namespace(service),
                    "labels": labels,
                    "ownerReferences": controlled_by(service),
                },
                "addressType": "IPv4",
                "endpoints": endpoints,
                "ports": ports,
            }));
        }
        Some(old) => {
            let mut new = (*old).clone();
            new["endpoints"] = endpoints;
            new["ports"] = ports;
            plan.replace(&key, &old, new);
        }
    }
}

/// A service of type `LoadBalancer` is given an address.
fn balance(view: &View<'_>, key: &Key, service: &Object, plan: &mut Plan) {
    let has = !items(service, "/status/loadBalancer/ingress").is_empty();
    if text(service, "/spec/type") != "LoadBalancer" || has {
        return;
    }
    let services = view.list("services", "");
    let taken: Vec<&str> =
        services.iter().map(|one| text(one, "/status/loadBalancer/ingress/0/ip")).collect();
    let free =
        (1..255).map(|last| format!("172.18.255.{last}")).find(|ip| !taken.contains(&ip.as_str()));
    let mut after = (**service).clone();
    after["status"] = json!({ "loadBalancer": { "ingress": [{ "ip": free, "ipMode": "VIP" }] } });
    plan.replace(key, service, after);
    plan.normal(
        "service-controller",
        service,
        "EnsuredLoadBalancer",
        "Ensured load balancer".to_owned(),
    );
}
