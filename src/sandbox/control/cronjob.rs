//! Cron jobs: a job at every scheduled moment, as the concurrency policy allows.

use jiff::{Timestamp, tz::TimeZone};
use serde_json::{Value, json};

use super::{
    cron::Schedule,
    job,
    object::{
        Key, Object, controlled_by, int, is_deleting, name, namespace, seconds, set, stamp, text,
        time,
    },
    view::{Plan, View, reference},
};

const FROM: &str = "cronjob-controller";
const JOBS: &str = "jobs.batch";
/// Beyond this many missed moments something is wrong, and the real controller gives up; the latest one counts here.
const MOST_MISSED: usize = 100;

/// Starts the job that is due, keeps the list of active ones, and forgets old ones.
pub(crate) fn reconcile(view: &View<'_>, key: &Key) -> Plan {
    let mut plan = Plan::default();
    let Some(cron) = view.at(key).filter(|cron| !is_deleting(cron)) else { return plan };
    let jobs = view.controlled(&cron, JOBS);
    let mut after = (*cron).clone();
    if !after["status"].is_object() {
        after["status"] = json!({});
    }
    forget_history(&cron, &jobs, &mut plan);
    let mut active: Vec<Value> =
        jobs.iter().filter(|job| !job::is_over(job)).map(|job| reference(job)).collect();
    let succeeded = jobs.iter().filter_map(|job| time(job, "/status/completionTime")).max();
    if let Some(at) = succeeded.max(time(&cron, "/status/lastSuccessfulTime")) {
        after["status"]["lastSuccessfulTime"] = stamp(at).into();
    }
    if cron["spec"]["suspend"] != true {
        match due(view, &cron, &mut plan) {
            Ok(Some(moment)) => {
                start(view, (&cron, &jobs), moment, (&mut after, &mut active), &mut plan)
            }
            Ok(None) => {}
            Err(why) => {
                let message =
                    format!("unparseable schedule: \"{}\": {why}", text(&cron, "/spec/schedule"));
                plan.warning(FROM, &cron, "UnparseableSchedule", message);
            }
        }
    }
    if active.is_empty() {
        if let Some(status) = after["status"].as_object_mut() {
            status.shift_remove("active");
        }
    } else {
        after["status"]["active"] = active.into();
    }
    plan.replace(key, &cron, after);
    plan
}

/// The latest scheduled moment that has come and not been served; asks to be woken at the next one.
fn due(view: &View<'_>, cron: &Value, plan: &mut Plan) -> Result<Option<Timestamp>, String> {
    let schedule = Schedule::parse(text(cron, "/spec/schedule"))?;
    let zone = match text(cron, "/spec/timeZone") {
        "" => TimeZone::UTC,
        named => TimeZone::get(named).map_err(|_| format!("unknown time zone {named}"))?,
    };
    let since = time(cron, "/status/lastScheduleTime")
        .or_else(|| time(cron, "/metadata/creationTimestamp"))
        .unwrap_or(view.now);
    let patience = int(cron, "/spec/startingDeadlineSeconds");
    let earliest = patience.map_or(since, |patience| since.max(view.now - seconds(patience)));
    let mut latest = None;
    let mut at = earliest;
    for missed in 0.. {
        match schedule.next(at, &zone) {
            Some(next) if next <= view.now => {
                latest = Some(next);
                // far behind: only the last moments can matter
                at = if missed > MOST_MISSED { (view.now - seconds(3600)).max(next) } else { next };
            }
            Some(next) => {
                plan.wake_at(next);
                break;
            }
            None => break,
        }
        if missed > 2 * MOST_MISSED {
            break;
        }
    }
    Ok(latest)
}

fn start(
    view: &View<'_>,
    (cron, jobs): (&Object, &[Object]),
    moment: Timestamp,
    (after, active): (&mut Value, &mut Vec<Value>),
    plan: &mut Plan,
) {
    let running: Vec<&Object> = jobs.iter().filter(|job| !job::is_over(job)).collect();
    match text(cron, "/spec/concurrencyPolicy") {
        "Forbid" if !running.is_empty() => {
            let message = "Not starting job because prior execution is running and concurrency policy is Forbid";
            plan.normal(FROM, cron, "JobAlreadyActive", message.to_owned());
            return;
        }
        "Replace" => {
            for job in running {
                plan.delete(JOBS, job);
                plan.normal(FROM, cron, "SuccessfulDelete", format!("Deleted job {}", name(job)));
            }
            active.clear();
        }
        _ => {}
    }
    let template = &cron["spec"]["jobTemplate"];
    let job_name = format!("{}-{}", name(cron), moment.as_second() / 60);
    if view.get(JOBS, namespace(cron), &job_name).is_none() {
        let mut job = json!({
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {
                "name": job_name,
                "namespace": namespace(cron),
                "ownerReferences": controlled_by(cron),
            },
            "spec": template["spec"],
        });
        for field in ["labels", "annotations"] {
            if template["metadata"][field].is_object() {
                job["metadata"][field] = template["metadata"][field].clone();
            }
        }
        let scheduled =
            ["metadata", "annotations", "batch.kubernetes.io/cronjob-scheduled-timestamp"];
        set(&mut job, &scheduled, stamp(moment).into());
        plan.create(furnish(job));
        plan.normal(FROM, cron, "SuccessfulCreate", format!("Created job {job_name}"));
    }
    after["status"]["lastScheduleTime"] = stamp(moment).into();
}

/// What the API server's defaulting gives a job.
fn furnish(mut job: Value) -> Value {
    for (field, value) in [
        ("parallelism", json!(1)),
        ("backoffLimit", json!(6)),
        ("completionMode", json!("NonIndexed")),
        ("suspend", json!(false)),
    ] {
        if job["spec"].get(field).is_none() {
            job["spec"][field] = value;
        }
    }
    if job["spec"].get("completions").is_none() && job["spec"]["parallelism"] == 1 {
        job["spec"]["completions"] = 1.into();
    }
    job
}

/// Deletes the oldest finished jobs beyond the history limits.
fn forget_history(cron: &Value, jobs: &[Object], plan: &mut Plan) {
    for (field, kind, default) in
        [("successfulJobsHistoryLimit", "Complete", 3), ("failedJobsHistoryLimit", "Failed", 1)]
    {
        let limit = int(&cron["spec"], &format!("/{field}")).unwrap_or(default);
        let mut over: Vec<&Object> = jobs
            .iter()
            .filter(|job| super::object::condition_is_true(job, kind) && !is_deleting(job))
            .collect();
        over.sort_by_key(|job| time(job, "/status/startTime"));
        let surplus = over.len().saturating_sub(usize::try_from(limit).unwrap_or(0));
        over.into_iter().take(surplus).for_each(|job| plan.delete(JOBS, job));
    }
}
