//! Tables of who may do what.

use jiff::Timestamp;

use super::*;
use crate::domain::{Approval, ChangeId, ChangeState, ChannelKind, Plan, ThreadId};

fn actor(name: &str, roles: &[Role]) -> Actor {
    Actor {
        name: name.into(),
        groups: vec![format!("{name}-team")],
        roles: roles.iter().copied().collect(),
        channel: ChannelKind::Cli,
    }
}

fn scope(namespace: &str, environment: &str, risk: Risk) -> Scope {
    Scope {
        namespaces: [namespace.to_owned()].into(),
        environments: [environment.to_owned()].into(),
        risk,
    }
}

fn hash(text: &str) -> PlanHash {
    PlanHash(text.into())
}

fn change(approved_by: &[&str]) -> Change {
    let now = Timestamp::UNIX_EPOCH;
    let approval = |by: &&str| Approval {
        by: (*by).to_owned(),
        plan: hash("h"),
        head: "abc".into(),
        comment: None,
        at: now,
    };
    Change {
        id: ChangeId("c-1".into()),
        thread: ThreadId("t-1".into()),
        requested_by: "alice".into(),
        request: String::new(),
        lang: Lang::En,
        summary: String::new(),
        operations: Vec::new(),
        model: None,
        prompt: None,
        state: ChangeState::Proposed,
        message: None,
        base: None,
        branch: None,
        head: None,
        plan: Some(Plan {
            hash: hash("h"),
            files: Vec::new(),
            objects: Vec::new(),
            findings: Vec::new(),
        }),
        approvals: approved_by.iter().map(approval).collect(),
        merged: None,
        created: now,
        updated: now,
        applied: None,
        finished: None,
        undoes: None,
        version: 1,
    }
}

/// Who, with which roles, after whose approvals, in which environment, at which risk, which plan: the refusal.
type Case<'a> = (&'a str, &'a [Role], &'a [&'a str], &'a str, Risk, &'a str, Option<&'a str>);

#[test]
fn who_may_approve() {
    let policy = Policy::new(Config {
        approvals: vec![ApprovalRule {
            environments: vec!["prod*".into()],
            approvers: vec!["carol".into(), "dave-team".into()],
            ..ApprovalRule::default()
        }],
        ..Config::default()
    });
    let approver = [Role::Approver];
    let table: &[Case<'_>] = &[
        ("bob", &approver, &[], "dev", Risk::Low, "h", None),
        ("bob", &[Role::Admin], &[], "dev", Risk::Medium, "h", None),
        ("alice", &[Role::Admin], &[], "dev", Risk::Low, "h", Some("requester-approves")),
        ("bob", &[Role::Operator], &[], "dev", Risk::Low, "h", Some("no-approver-role")),
        ("bob", &approver, &[], "production", Risk::Low, "h", Some("not-an-approver-here")),
        ("carol", &approver, &[], "production", Risk::Low, "h", None),
        ("dave", &approver, &[], "prod", Risk::Low, "h", None),
        ("carol", &[], &[], "prod", Risk::Low, "h", Some("no-approver-role")),
        ("bob", &approver, &["bob"], "dev", Risk::Low, "h", Some("approved-already")),
        ("bob", &approver, &["carol"], "dev", Risk::Low, "h", None),
        ("bob", &approver, &[], "dev", Risk::High, "h", Some("blocking-findings")),
        ("bob", &approver, &[], "dev", Risk::Low, "other", Some("another-plan")),
    ];
    for (name, roles, before, environment, risk, plan, expected) in table {
        let refused = policy
            .may_approve(
                &actor(name, roles),
                &change(before),
                &scope("site", environment, *risk),
                Some(&hash(plan)),
            )
            .err();
        let code = refused.as_ref().map(|r| r.code.as_str());
        assert_eq!(code, *expected, "{name} {roles:?} {environment} {risk:?}");
    }
}

#[test]
fn who_may_request() {
    let policy = Policy::new(Config::default());
    let check = |roles: &[Role], namespace| {
        let refused =
            policy.may_request(&actor("alice", roles), &scope(namespace, "", Risk::Low), Lang::Zh);
        refused.err().map(|refusal| refusal.code)
    };
    assert_eq!(check(&[Role::Operator], "demo"), None);
    assert_eq!(check(&[Role::Viewer], "demo").as_deref(), Some("no-operator-role"));
    assert_eq!(check(&[Role::Admin], "kube-system").as_deref(), Some("protected-namespace"));
}

#[test]
fn every_matching_rule_counts() {
    let rule = |namespace: &str, risk, count| ApprovalRule {
        namespaces: vec![namespace.into()],
        risk,
        count: Some(count),
        ..ApprovalRule::default()
    };
    let policy = Policy::new(Config {
        approvals: vec![rule("pay-*", Risk::Low, 2), rule("*", Risk::Medium, 3)],
        ..Config::default()
    });
    let needed = |namespace, risk| policy.approvals_needed(&scope(namespace, "", risk));
    assert_eq!(needed("demo", Risk::Low), 1);
    assert_eq!(needed("pay-eu", Risk::Low), 2);
    assert_eq!(needed("pay-eu", Risk::Medium), 3);
}

#[test]
fn patterns() {
    for (pattern, text, expected) in [
        ("a", "a", true),
        ("a", "ab", false),
        ("a*", "ab", true),
        ("*-prod", "site-prod", true),
        ("*-prod", "site-prod2", false),
        ("a*b*c", "a-b-b-c", true),
        ("*", "", true),
        ("a*", "中", false),
        ("*文", "中文", true),
    ] {
        assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
    }
}
