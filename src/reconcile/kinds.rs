//! Which REST resource serves a kind, learnt from the cluster once per API version.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use kube::{
    Api, Client,
    core::{ApiResource, DynamicObject},
};

use super::{ReconcileError, failed};
use crate::domain::ObjectRef;

/// A kind as the cluster serves it.
#[derive(Debug, Clone)]
pub(super) struct Served {
    pub(super) resource: ApiResource,
    pub(super) namespaced: bool,
}

/// A cache of discovery.
pub(super) struct Kinds {
    client: Client,
    served: Mutex<BTreeMap<(String, String), Served>>,
}

impl Kinds {
    pub(super) fn new(client: Client) -> Self {
        Self { client, served: Mutex::default() }
    }

    /// The resource that serves the object's kind. A kind not known yet is looked up again each time: its definition may
    /// have been applied a moment ago.
    pub(super) async fn get(&self, object: &ObjectRef) -> Result<Served, ReconcileError> {
        let key = (object.api_version.clone(), object.kind.clone());
        if let Some(served) = self.known(&key) {
            return Ok(served);
        }
        let listed = if object.group().is_empty() {
            self.client.list_core_api_resources(object.version()).await
        } else {
            self.client.list_api_group_resources(&object.api_version).await
        };
        let listed = match listed {
            Ok(listed) => listed.resources,
            Err(kube::Error::Api(status)) if status.code == 404 => Vec::new(),
            Err(error) => return Err(failed(object, &error)),
        };
        {
            let mut served = self.served.lock().unwrap_or_else(PoisonError::into_inner);
            for resource in listed.into_iter().filter(|resource| !resource.name.contains('/')) {
                let found = Served {
                    resource: ApiResource {
                        group: object.group().to_owned(),
                        version: object.version().to_owned(),
                        api_version: object.api_version.clone(),
                        kind: resource.kind.clone(),
                        plural: resource.name,
                    },
                    namespaced: resource.namespaced,
                };
                served.insert((object.api_version.clone(), resource.kind), found);
            }
        }
        self.known(&key).ok_or_else(|| ReconcileError::UnknownKind(object.clone()))
    }

    fn known(&self, key: &(String, String)) -> Option<Served> {
        self.served.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    /// The API of the object's kind, in the object's namespace.
    pub(super) async fn api(
        &self,
        object: &ObjectRef,
    ) -> Result<Api<DynamicObject>, ReconcileError> {
        let served = self.get(object).await?;
        let namespace = object.namespace.as_deref().unwrap_or("default");
        Ok(if served.namespaced {
            Api::namespaced_with(self.client.clone(), namespace, &served.resource)
        } else {
            Api::all_with(self.client.clone(), &served.resource)
        })
    }
}
