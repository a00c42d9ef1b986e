//! Which lines of which container, as a request.

use jiff::Timestamp;

use super::{ClusterError, kinds, with_query};

/// Bytes of one log that are read.
const MAX_LOG_BYTES: usize = 1024 * 1024;

/// Which lines of which container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogQuery {
    /// The pod's namespace.
    pub namespace: String,
    /// The pod.
    pub pod: String,
    /// The container; may be left out when there is only one.
    pub container: Option<String>,
    /// The container's run before the current one.
    pub previous: bool,
    /// Only lines from this time on.
    pub since: Option<Timestamp>,
    /// Only the last so many lines.
    pub tail: Option<u64>,
}

impl LogQuery {
    /// The request as a person can repeat it.
    #[must_use]
    pub fn shown(&self) -> String {
        self.path().map_or_else(|error| error.to_string(), |path| format!("GET {path}"))
    }

    fn path(&self) -> Result<String, ClusterError> {
        let (namespace, pod) = (kinds::segment(&self.namespace)?, kinds::segment(&self.pod)?);
        let mut query: Vec<(&str, String)> = Vec::new();
        query.extend(self.container.clone().map(|container| ("container", container)));
        query.extend(self.previous.then(|| ("previous", "true".to_owned())));
        query.extend(self.since.map(|since| ("sinceTime", since.to_string())));
        query.extend(self.tail.map(|lines| ("tailLines", lines.to_string())));
        query.push(("timestamps", "true".to_owned()));
        query.push(("limitBytes", MAX_LOG_BYTES.to_string()));
        Ok(with_query(&format!("/api/v1/namespaces/{namespace}/pods/{pod}/log"), &query))
    }

    pub(super) fn request(&self) -> Result<http::Request<Vec<u8>>, ClusterError> {
        http::Request::get(self.path()?)
            .body(Vec::new())
            .map_err(|error| ClusterError::Refused(error.to_string()))
    }
}
