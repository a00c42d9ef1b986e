//! Addresses and node ports of services.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::sandbox::{api::ApiError, storage::Storage};

/// Service addresses are 10.96.0.0/12; the first 256 are left to those who ask for one.
const FIRST: u32 = 0x0a60_0000 + 256;
const SIZE: u32 = (1 << 20) - 512;
const NODE_PORTS: std::ops::RangeInclusive<i64> = 30_000..=32_767;

/// Gives a service what it has not yet: `clusterIP`, `clusterIPs`, IP families, node ports.
pub(super) fn allocate(storage: &Storage, service: &mut Value) -> Result<(), ApiError> {
    let kind = service["spec"]["type"].as_str().unwrap_or_default().to_owned();
    if kind == "ExternalName" {
        return Ok(());
    }
    let ip = service["spec"]["clusterIP"].as_str().unwrap_or_default().to_owned();
    let needs_port = matches!(kind.as_str(), "NodePort" | "LoadBalancer")
        && service["spec"]["ports"]
            .as_array()
            .into_iter()
            .flatten()
            .any(|p| p.get("nodePort").is_none());
    let taken = if ip.is_empty() || needs_port { Some(Taken::of(storage)) } else { None };
    let spec = &mut service["spec"];
    if let (true, Some(taken)) = (ip.is_empty(), &taken) {
        spec["clusterIP"] = taken.free_address()?.into();
    }
    let ip = spec["clusterIP"].clone();
    let Some(spec) = spec.as_object_mut() else { return Ok(()) };
    if ip == "None" && spec.get("selector").is_none() {
        spec.entry("ipFamilyPolicy").or_insert_with(|| json!("RequireDualStack"));
    }
    spec.entry("clusterIPs").or_insert_with(|| json!([ip]));
    spec.entry("ipFamilies").or_insert_with(|| json!(["IPv4"]));
    spec.entry("ipFamilyPolicy").or_insert_with(|| json!("SingleStack"));
    if let (true, Some(mut taken)) = (needs_port, taken) {
        for port in spec.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
            if port.get("nodePort").is_none() {
                port["nodePort"] = taken.free_port()?.into();
            }
        }
    }
    Ok(())
}

/// What other services have.
struct Taken {
    addresses: BTreeSet<String>,
    ports: BTreeSet<i64>,
}

impl Taken {
    fn of(storage: &Storage) -> Self {
        let mut taken = Self { addresses: BTreeSet::new(), ports: BTreeSet::new() };
        for service in storage.list("services", None).0 {
            let spec = &service["spec"];
            taken.addresses.extend(spec["clusterIP"].as_str().map(str::to_owned));
            let ports = spec["ports"].as_array().into_iter().flatten();
            taken.ports.extend(ports.filter_map(|p| p["nodePort"].as_i64()));
        }
        taken
    }

    fn free_address(&self) -> Result<String, ApiError> {
        // in order, so that the same world has the same addresses every time
        (0..SIZE)
            .map(|i| std::net::Ipv4Addr::from(FIRST + i).to_string())
            .find(|ip| !self.addresses.contains(ip))
            .ok_or_else(|| ApiError::internal("failed to allocate a serviceIP: range is full"))
    }

    fn free_port(&mut self) -> Result<i64, ApiError> {
        let port = NODE_PORTS
            .clone()
            .find(|port| !self.ports.contains(port))
            .ok_or_else(|| ApiError::internal("failed to allocate a nodePort: range is full"))?;
        self.ports.insert(port);
        Ok(port)
    }
}
