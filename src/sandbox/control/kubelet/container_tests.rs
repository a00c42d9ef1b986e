//! The life of a container, played second by second.

use super::*;

fn given<'a>(spec: &'a Value, fate: Fate) -> Given<'a> {
    Given {
        spec,
        pod: "p_a(u)".into(),
        pod_ip: "10.0.0.1",
        restart: Restart::Always,
        begin: at(0),
        creation: seconds(2),
        fate,
        now: at(0),
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("in range")
}

/// Runs for `until` seconds, waking only when asked to; returns the last status and (second, reason) of what was said.
fn play(given: &Given<'_>, until: i64) -> (Value, Vec<(i64, &'static str)>) {
    let (mut given, mut status, mut said) = (given.clone(), None, vec![]);
    let mut guard = 0;
    loop {
        let step = step(&given, status.as_ref());
        said.extend(step.said.iter().map(|(_, reason, _)| (given.now.as_second(), *reason)));
        status = Some(step.status);
        guard += 1;
        assert!(guard < 5000, "a busy loop");
        match step.wake {
            Some(wake) if wake <= at(until) => {
                assert!(wake > given.now, "woken in the past");
                given.now = wake;
            }
            _ => return (status.expect("set above"), said),
        }
    }
}

fn spec() -> Value {
    json!({"name": "c", "image": "web:1"})
}

#[test]
fn starts_and_stays() {
    let spec = spec();
    let (status, said) = play(&given(&spec, Fate::default()), 1000);
    assert_eq!(status["ready"], true);
    assert_eq!(status["state"]["running"]["startedAt"], "1970-01-01T00:00:02Z");
    assert_eq!(said, [(0, "Pulling"), (2, "Pulled"), (2, "Created"), (2, "Started")]);
}

#[test]
fn becomes_ready_when_its_probe_first_succeeds() {
    let mut spec = spec();
    spec["readinessProbe"] =
        json!({"initialDelaySeconds": 5, "periodSeconds": 4, "successThreshold": 2});
    let given = given(&spec, Fate::default());
    assert_eq!(play(&given, 10).0["ready"], false);
    assert_eq!(play(&given, 11).0["ready"], true);
}

#[test]
fn crashes_and_backs_off() {
    let spec = spec();
    let end = End { after: seconds(1), since: at(0), exit_code: 3, reason: "Error" };
    let given = given(&spec, Fate { end: Some(end), ..Fate::default() });
    let (status, said) = play(&given, 60);
    let starts: Vec<i64> = said.iter().filter(|s| s.1 == "Started").map(|s| s.0).collect();
    // dies after a second, restarts at once, then after 10 s, 20 s
    assert_eq!(starts, [2, 4, 15, 36]);
    assert_eq!(status["restartCount"], 3);
    assert_eq!(status["state"]["waiting"]["reason"], "CrashLoopBackOff");
    assert_eq!(status["lastState"]["terminated"]["exitCode"], 3);
    let message = status["state"]["waiting"]["message"].as_str().unwrap_or_default();
    assert_eq!(message, "back-off 40s restarting failed container=c pod=p_a(u)");
}

#[test]
fn a_bad_image_is_tried_again_and_again() {
    let spec = spec();
    let fate = Fate { image: Some(image::Unavailable::NotFound), ..Fate::default() };
    let (status, said) = play(&given(&spec, fate), 100);
    assert_eq!(status["state"]["waiting"]["reason"], "ImagePullBackOff");
    let pulls: Vec<i64> = said.iter().filter(|s| s.1 == "Pulling").map(|s| s.0).collect();
    assert_eq!(pulls, [0, 11, 31, 71]);
}

#[test]
fn a_failing_liveness_probe_restarts_it() {
    let mut spec = spec();
    spec["livenessProbe"] = json!({"httpGet": {"path": "/", "port": 80}, "periodSeconds": 5});
    let fate = Fate { unlive: Some((500, at(100))), ..Fate::default() };
    let (status, said) = play(&given(&spec, fate), 118);
    assert_eq!(status["restartCount"], 1);
    assert!(said.contains(&(115, "Killing")), "{said:?}");
}

#[test]
fn a_slow_start_outlasts_an_impatient_liveness_probe_only_with_a_startup_probe() {
    let mut spec = spec();
    spec["livenessProbe"] = json!({"httpGet": {"path": "/", "port": 80}});
    let fate = Fate { slow: Some(seconds(45)), ..Fate::default() };
    assert_eq!(play(&given(&spec, fate.clone()), 40).0["restartCount"], 1);
    spec["startupProbe"] = json!({"periodSeconds": 10, "failureThreshold": 30});
    let (status, _) = play(&given(&spec, fate), 200);
    assert_eq!((&status["restartCount"], &status["ready"]), (&json!(0), &json!(true)));
}

#[test]
fn a_job_container_completes_and_stays_so() {
    let spec = spec();
    let end = End { after: seconds(5), since: at(0), exit_code: 0, reason: "Completed" };
    let mut given = given(&spec, Fate { end: Some(end), ..Fate::default() });
    given.restart = Restart::OnFailure;
    let (status, _) = play(&given, 1000);
    assert_eq!(status["state"]["terminated"]["reason"], "Completed");
    assert_eq!(status["restartCount"], 0);
}

#[test]
fn the_back_off_doubles_up_to_five_minutes() {
    let all: Vec<i64> = (0..9).map(|n| back_off(n).as_secs()).collect();
    assert_eq!(all, [0, 10, 20, 40, 80, 160, 300, 300, 300]);
}
