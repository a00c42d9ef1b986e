//! Jobs: pods that run to their end, as often and as many at a time as wanted.

use std::cmp::Reverse;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    object::{
        Condition, Key, Object, condition_is_true, int, is_active, is_deleting, is_finished, items,
        name, namespace, seconds, set, set_condition, stamp, text, time, uid,
    },
    quota, template,
    view::{Plan, View},
};

const FROM: &str = "job-controller";
const INDEX: &str = "batch.kubernetes.io/job-completion-index";

/// What a job's pods have come to.
struct Tally<'a> {
    job: &'a Object,
    pods: Vec<Object>,
    active: i64,
    succeeded: i64,
    failed: i64,
}

/// Whether a job has ended, well or badly.
pub(crate) fn is_over(job: &Value) -> bool {
    condition_is_true(job, "Complete") || condition_is_true(job, "Failed")
}

/// Starts pods, counts their ends, and ends the job.
pub(crate) fn reconcile(view: &View<'_>, key: &Key) -> Plan {
    let mut plan = Plan::default();
    let Some(job) = view.at(key).filter(|job| !is_deleting(job)) else { return plan };
    if is_over(&job) {
        clean_up(view, &job, &mut plan);
        return plan;
    }
    let pods = view.controlled(&job, "pods");
    let with = |phase: &str| count(pods.iter().filter(|pod| text(pod, "/status/phase") == phase));
    let tally = Tally {
        active: count(pods.iter().filter(|pod| is_active(pod))),
        succeeded: with("Succeeded"),
        failed: with("Failed") + restarts(&job, &pods),
        job: &job,
        pods,
    };
    let mut after = (*job).clone();
    if !after["status"].is_object() {
        after["status"] = json!({});
    }
    let suspended = job["spec"]["suspend"] == true;
    if after["status"].get("startTime").is_none() && !suspended {
        after["status"]["startTime"] = stamp(view.now).into();
    }
    let begun = time(&after, "/status/startTime").unwrap_or(view.now);
    let verdict = tally.verdict(view.now, begun, &mut plan);
    if let Some(verdict) = &verdict {
        tally.end(view.now, verdict, &mut after, &mut plan);
    } else if suspended {
        tally.stop_pods(&mut plan);
    } else {
        tally.start_pods(view, &mut plan);
    }
    tally.count_into(&mut after["status"], verdict.is_some());
    plan.replace(key, &job, after);
    if verdict.is_some() {
        plan.wake_at(view.now);
    }
    plan
}

/// How a job ends: condition, reason, message.
type Verdict = (&'static str, &'static str, String);

impl Tally<'_> {
    /// How many must succeed; `None`: any one pod's success is the job's.
    fn completions(&self) -> Option<i64> {
        int(self.job, "/spec/completions")
    }

    fn parallelism(&self) -> i64 {
        int(self.job, "/spec/parallelism").unwrap_or(1).max(0)
    }

    fn verdict(&self, now: Timestamp, begun: Timestamp, plan: &mut Plan) -> Option<Verdict> {
        let limit = int(self.job, "/spec/backoffLimit").unwrap_or(6);
        if self.failed > limit {
            let why = "Job has reached the specified backoff limit".to_owned();
            return Some(("Failed", "BackoffLimitExceeded", why));
        }
        if let Some(deadline) = int(self.job, "/spec/activeDeadlineSeconds") {
            let due = begun + seconds(deadline);
            if due <= now {
                let why = "Job was active longer than specified deadline".to_owned();
                return Some(("Failed", "DeadlineExceeded", why));
            }
            plan.wake_at(due);
        }
        let done = match self.completions() {
            Some(wanted) => self.succeeded >= wanted,
            None => self.succeeded > 0 && self.active == 0,
        };
        let why = "Reached expected number of succeeded pods".to_owned();
        done.then_some(("Complete", "CompletionsReached", why))
    }

    fn end(&self, now: Timestamp, verdict: &Verdict, job: &mut Value, plan: &mut Plan) {
        let (kind, reason, message) = verdict;
        self.stop_pods(plan);
        let mut conditions = items(job, "/status/conditions").to_vec();
        let first = if *kind == "Complete" { "SuccessCriteriaMet" } else { "FailureTarget" };
        for kind in [first, kind] {
            set_condition(&mut conditions, Condition::new(kind, true, reason, message), now);
        }
        for condition in &mut conditions {
            condition["lastProbeTime"] = condition["lastTransitionTime"].clone();
        }
        job["status"]["conditions"] = conditions.into();
        if *kind == "Complete" {
            job["status"]["completionTime"] = stamp(now).into();
            plan.normal(FROM, self.job, "Completed", "Job completed".to_owned());
        } else {
            plan.warning(FROM, self.job, reason, message.clone());
        }
    }

    fn stop_pods(&self, plan: &mut Plan) {
        for pod in self.pods.iter().filter(|pod| is_active(pod)) {
            plan.delete("pods", pod);
            plan.normal(FROM, self.job, "SuccessfulDelete", format!("Deleted pod: {}", name(pod)));
        }
    }

    /// Starts as many pods as may run at once, later after each failure.
    fn start_pods(&self, view: &View<'_>, plan: &mut Plan) {
        let mut wanted = self.parallelism();
        match self.completions() {
            Some(completions) => wanted = wanted.min(completions - self.succeeded),
            // without a count, the first success ends the starting
            None if self.succeeded > 0 => wanted = self.active,
            None => {}
        }
        if self.active > wanted {
            let mut active: Vec<&Object> = self.pods.iter().filter(|pod| is_active(pod)).collect();
            active.sort_by_key(|pod| Reverse(time(pod, "/metadata/creationTimestamp")));
            let surplus = usize::try_from(self.active - wanted).unwrap_or(0);
            active.into_iter().take(surplus).for_each(|pod| plan.delete("pods", pod));
            return;
        }
        if let Some(due) = self.next_attempt().filter(|due| *due > view.now) {
            plan.wake_at(due);
            return;
        }
        let mut admission = quota::Admission::open(view, namespace(self.job));
        let mut indexes = self.free_indexes().into_iter();
        for _ in self.active..wanted {
            let mut pod = self.pod(view, indexes.next());
            if let Err(why) = admission.admit(&mut pod) {
                plan.warning(FROM, self.job, "FailedCreate", format!("Error creating: {why}"));
                plan.wake_at(view.now + seconds(30));
                return;
            }
            plan.normal(FROM, self.job, "SuccessfulCreate", format!("Created pod: {}", name(&pod)));
            plan.create(pod);
        }
    }

    /// After failures, pods are started 10 s, 20 s, 40 s ... (at most 6 min) after the last one.
    fn next_attempt(&self) -> Option<Timestamp> {
        let failed = self.pods.iter().filter(|pod| text(pod, "/status/phase") == "Failed");
        let ends = failed.filter_map(|pod| {
            let statuses = items(pod, "/status/containerStatuses").iter();
            statuses.filter_map(|one| time(one, "/state/terminated/finishedAt")).max()
        });
        let (last, count) = ends.fold((None, 0_u32), |(last, n), end| (last.max(Some(end)), n + 1));
        Some(last? + seconds((10_i64 << count.saturating_sub(1).min(6)).min(360)))
    }

    fn is_indexed(&self) -> bool {
        text(self.job, "/spec/completionMode") == "Indexed"
    }

    /// The completion indexes that no running or successful pod has.
    fn free_indexes(&self) -> Vec<i64> {
        if !self.is_indexed() {
            return vec![];
        }
        let index = |pod: &Object| super::object::annotation(pod, INDEX).parse::<i64>().ok();
        let alive = |pod: &&Object| is_active(pod) || text(pod, "/status/phase") == "Succeeded";
        let taken: Vec<i64> = self.pods.iter().filter(alive).filter_map(index).collect();
        (0..self.completions().unwrap_or(0)).filter(|index| !taken.contains(index)).collect()
    }

    fn pod(&self, view: &View<'_>, index: Option<i64>) -> Value {
        let job = self.job;
        let prefix = index.map_or(name(job).to_owned(), |index| format!("{}-{index}", name(job)));
        let pod_name = template::generated_name(&prefix, view.settings.serial());
        let mut pod = template::pod(&job["spec"]["template"], job, &pod_name);
        for label in ["job-name", "batch.kubernetes.io/job-name"] {
            set(&mut pod, &["metadata", "labels", label], name(job).into());
        }
        for label in ["controller-uid", "batch.kubernetes.io/controller-uid"] {
            set(&mut pod, &["metadata", "labels", label], uid(job).into());
        }
        if let Some(index) = index {
            set(&mut pod, &["metadata", "annotations", INDEX], index.to_string().into());
            set(&mut pod, &["metadata", "labels", INDEX], index.to_string().into());
        }
        pod
    }

    fn count_into(&self, status: &mut Value, over: bool) {
        let ready =
            count(self.pods.iter().filter(|pod| condition_is_true(pod, "Ready") && is_active(pod)));
        let running = |number: i64| if over { 0 } else { number };
        for (field, number) in [
            ("active", running(self.active)),
            ("ready", running(ready)),
            ("succeeded", self.succeeded),
            ("failed", self.failed),
            (
                "terminating",
                count(self.pods.iter().filter(|pod| is_deleting(pod) && !is_finished(pod))),
            ),
        ] {
            if number > 0 || field == "ready" || field == "terminating" {
                status[field] = number.into();
            } else if let Some(status) = status.as_object_mut() {
                status.shift_remove(field);
            }
        }
    }
}

/// With `OnFailure`, containers fail and start again in the same pod: their restarts count as failures.
fn restarts(job: &Value, pods: &[Object]) -> i64 {
    if text(job, "/spec/template/spec/restartPolicy") != "OnFailure" {
        return 0;
    }
    let active = pods.iter().filter(|pod| is_active(pod));
    active
        .flat_map(|pod| items(pod, "/status/containerStatuses"))
        .filter_map(|status| int(status, "/restartCount"))
        .sum()
}

/// A finished job goes after its time to live.
fn clean_up(view: &View<'_>, job: &Object, plan: &mut Plan) {
    let Some(keep) = int(job, "/spec/ttlSecondsAfterFinished") else { return };
    let ended = items(job, "/status/conditions")
        .iter()
        .filter(|one| one["type"] == "Complete" || one["type"] == "Failed")
        .filter_map(|one| time(one, "/lastTransitionTime"))
        .max();
    let due = ended.unwrap_or(view.now) + seconds(keep);
    if due <= view.now {
        plan.delete_in_foreground("jobs.batch", job);
    } else {
        plan.wake_at(due);
    }
}

fn count<'a>(pods: impl Iterator<Item = &'a Object>) -> i64 {
    i64::try_from(pods.count()).unwrap_or(i64::MAX)
}
