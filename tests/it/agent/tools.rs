//! Tools and prompts as the model sees them: the list is golden, code and declarations are one to one.

use kubemate::{
    prompt::Prompts,
    tool::{Registry, RegistryError, change_tools},
};

use super::fake::{read_tools, registry};

#[test]
fn the_list_of_tools_is_known() {
    let registry = registry();
    let listed: Vec<String> = registry
        .specs()
        .map(|s| {
            format!("{}{}", s.name, if s.annotations.read_only_hint { "" } else { " (change)" })
        })
        .collect();
    let expected = [
        "change_history",
        "describe_object",
        "events",
        "list_objects",
        "pod_logs",
        "problems",
        "resource_usage",
        "restart (change)",
        "rollback (change)",
        "rollout_status",
        "scale (change)",
        "set_env (change)",
        "set_image (change)",
        "set_resources (change)",
        "undo (change)",
    ];
    assert_eq!(listed, expected);
}

#[test]
fn code_and_declarations_are_one_to_one() {
    let all = || change_tools().into_iter().chain(read_tools()).collect::<Vec<_>>();
    assert!(Registry::new(all()).is_ok());
    assert!(matches!(Registry::new(change_tools()), Err(RegistryError::NoCode(_))));
    assert!(matches!(Registry::with_specs(change_tools(), vec![]), Err(RegistryError::NoSpec(_))));
    let twice = all().into_iter().chain(change_tools()).collect();
    assert!(matches!(Registry::new(twice), Err(RegistryError::Twice(_))));
}

#[test]
fn prompts_render_and_a_missing_value_is_an_error() {
    let prompts = Prompts::load().unwrap();
    let empty = serde_json::json!({});
    assert!(prompts.render("change", &empty).unwrap().contains("<request>"));
    assert!(
        prompts
            .render("answer", serde_json::json!({"language": "English"}))
            .unwrap()
            .contains("English")
    );
    assert!(prompts.render("answer", &empty).is_err());
    assert!(prompts.render("nothing", &empty).is_err());
}
