//! May the person who asks do this to the cluster with their own account?

use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec,
};
use kube::{Api, api::PostParams};

use super::{ReconcileError, Reconciler, failed};
use crate::{
    domain::{Actor, ObjectRef},
    gitops::plan::ObjectChange,
};

/// What the cluster's RBAC does not let somebody do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denied {
    /// Who.
    pub user: String,
    /// `patch`, `create`, `delete`.
    pub verb: String,
    /// To which object.
    pub object: ObjectRef,
}

impl Reconciler {
    /// The first thing `actor`'s own account may not do of these changes; `None` when it may do all.
    ///
    /// # Errors
    /// When the cluster cannot be asked.
    pub async fn denied(
        &self,
        actor: &Actor,
        changes: &[ObjectChange],
    ) -> Result<Option<Denied>, ReconcileError> {
        let reviews: Api<SubjectAccessReview> = Api::all(self.client.clone());
        for change in changes {
            let object = &change.object;
            let served = match self.kinds.get(object).await {
                Ok(served) => served,
                // a kind whose definition is part of the change: applying tells
                Err(ReconcileError::UnknownKind(_)) => continue,
                Err(error) => return Err(error),
            };
            for verb in verbs(change) {
                let mut groups = actor.groups.clone();
                groups.push("system:authenticated".to_owned());
                let spec = SubjectAccessReviewSpec {
                    user: Some(actor.name.clone()),
                    groups: Some(groups),
                    resource_attributes: Some(ResourceAttributes {
                        group: Some(served.resource.group.clone()),
                        version: Some(served.resource.version.clone()),
                        resource: Some(served.resource.plural.clone()),
                        namespace: object.namespace.clone(),
                        name: Some(object.name.clone()),
                        verb: Some((*verb).to_owned()),
                        ..ResourceAttributes::default()
                    }),
                    ..SubjectAccessReviewSpec::default()
                };
                let review = SubjectAccessReview { spec, ..SubjectAccessReview::default() };
                let answer = reviews
                    .create(&PostParams::default(), &review)
                    .await
                    .map_err(|error| failed(object, &error))?;
                if !answer.status.is_some_and(|status| status.allowed) {
                    return Ok(Some(Denied {
                        user: actor.name.clone(),
                        verb: (*verb).to_owned(),
                        object: object.clone(),
                    }));
                }
            }
        }
        Ok(None)
    }
}

fn verbs(change: &ObjectChange) -> &'static [&'static str] {
    match (&change.before, &change.after) {
        (_, None) => &["delete"],
        // server-side apply creates what is missing
        (None, Some(_)) => &["create", "patch"],
        (Some(_), Some(_)) => &["patch"],
    }
}
