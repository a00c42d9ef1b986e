//! Byte-exact edits: every folder of `tests/data/edit` is a YAML file as people write them, an edit, and the diff (or
//! the refusal) it must give; besides, random edits of all those files must touch only the lines of the change.

use std::{fs, path::PathBuf};

use kubemate::gitops::{
    edit::{self, Document, Edit, PathEdit, Step},
    text_diff,
};
use rand::{RngExt, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use serde_json::{Value, json};

struct Case {
    name: String,
    folder: PathBuf,
    file: String,
    text: String,
    edit: Edit,
}

fn cases() -> Vec<Case> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/edit");
    let mut folders: Vec<PathBuf> =
        fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    folders.into_iter().map(case).collect()
}

fn case(folder: PathBuf) -> Case {
    let name = folder.file_name().unwrap().to_string_lossy().into_owned();
    let spec: Value =
        serde_saphyr::from_str(&fs::read_to_string(folder.join("edit.yaml")).unwrap()).unwrap();
    let text = String::from_utf8(fs::read(folder.join("input.yaml")).unwrap()).unwrap();
    let steps = spec["steps"].as_array().unwrap().iter().map(|step| {
        if step.get("remove").is_some() {
            PathEdit::Remove { path: path(&step["remove"]) }
        } else {
            PathEdit::Set { path: path(&step["set"]), value: step["to"].clone() }
        }
    });
    let edit = Edit { document: document(&spec["document"]), steps: steps.collect() };
    let file = spec["file"].as_str().unwrap_or("app.yaml").to_owned();
    Case { name, folder, file, text, edit }
}

fn document(spec: &Value) -> Document {
    let text = |key: &str| spec.get(key).and_then(Value::as_str).map(str::to_owned);
    match (spec.get("index"), text("kind")) {
        (Some(index), _) => Document::Index(index.as_u64().unwrap() as usize),
        (None, Some(kind)) => Document::Object {
            api_version: text("apiVersion"),
            kind,
            namespace: text("namespace"),
            name: text("name").unwrap(),
        },
        _ => Document::Only,
    }
}

fn path(spec: &Value) -> Vec<Step> {
    let step = |step: &Value| match step {
        Value::String(key) => Step::Key(key.clone()),
        Value::Number(index) => Step::Index(index.as_u64().unwrap() as usize),
        Value::Object(pair) => {
            let (key, value) = pair.iter().next().unwrap();
            Step::Where { key: key.clone(), value: value.as_str().unwrap().to_owned() }
        }
        other => panic!("no path step: {other}"),
    };
    spec.as_array().unwrap().iter().map(step).collect()
}

/// What the case gives: a diff, `unchanged`, or the refusal.
fn outcome(case: &Case) -> String {
    match edit::apply(&case.file, &case.text, &case.edit) {
        Ok(after) if after == case.text => "unchanged\n".to_owned(),
        Ok(after) => {
            text_diff::unified(&case.file, Some(&case.text), Some(&after)).replace('\r', "␍")
        }
        Err(error) => format!("refused: {error}\n"),
    }
}

#[test]
fn every_edit_gives_its_diff_or_its_refusal() {
    let mut wrong = Vec::new();
    let cases = cases();
    for case in &cases {
        let wanted = fs::read_to_string(case.folder.join("expected.diff")).unwrap_or_default();
        let got = outcome(case);
        if got != wanted {
            wrong.push(format!("== {}\n-- wanted\n{wanted}-- got\n{got}", case.name));
        }
    }
    assert!(cases.len() >= 60, "only {} cases", cases.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
#[ignore = "writes the expected results anew; read every difference before committing"]
fn rewrite_expected() {
    for case in cases() {
        fs::write(case.folder.join("expected.diff"), outcome(&case)).unwrap();
    }
}

#[test]
fn an_edit_done_twice_is_done_once() {
    for case in cases() {
        let sets = case.edit.steps.iter().all(|step| matches!(step, PathEdit::Set { .. }));
        let Ok(once) = edit::apply(&case.file, &case.text, &case.edit) else { continue };
        let appends = case.edit.steps.iter().any(|step| match step {
            PathEdit::Set { path, .. } => path.iter().any(|step| matches!(step, Step::Index(_))),
            PathEdit::Remove { .. } => false,
        });
        if sets && !appends {
            assert_eq!(
                edit::apply(&case.file, &once, &case.edit).as_ref(),
                Ok(&once),
                "{}",
                case.name
            );
        }
    }
}

/// Paths of every scalar, as `serde_saphyr` reads the document.
fn leaves(value: &Value, at: &mut Vec<Step>, out: &mut Vec<Vec<Step>>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                at.push(Step::Key(key.clone()));
                leaves(value, at, out);
                at.pop();
            }
        }
        Value::Array(list) => {
            for (index, value) in list.iter().enumerate() {
                at.push(Step::Index(index));
                leaves(value, at, out);
                at.pop();
            }
        }
        _ => out.push(at.clone()),
    }
}

#[test]
fn random_edits_touch_only_the_lines_of_the_value() {
    let mut random = StdRng::seed_from_u64(20_261_123);
    let values = [
        json!("on"),
        json!(7),
        json!("a: b # c"),
        json!(true),
        json!("中文 \"x\""),
        json!("plain"),
    ];
    let (mut done, mut refused) = (0, 0);
    for case in cases() {
        let Ok(documents) = edit::documents(&case.file, &case.text) else { continue };
        for info in documents {
            let Ok(value) = serde_saphyr::from_str::<Value>(&case.text[info.range.clone()]) else {
                continue;
            };
            let mut paths = Vec::new();
            leaves(&value, &mut Vec::new(), &mut paths);
            for _ in 0..paths.len().min(6) {
                let path = paths.choose(&mut random).unwrap().clone();
                let value = values[random.random_range(0..values.len())].clone();
                let document = Document::Index(info.index);
                let line = edit::locate(&case.text, &document, &path).unwrap();
                let edit = Edit { document, steps: vec![PathEdit::Set { path, value }] };
                match edit::apply(&case.file, &case.text, &edit) {
                    Ok(after) => check_lines(&case, line, &after, &edit),
                    Err(error) => {
                        refused += 1;
                        assert!(error.line >= 1 && error.line <= case.text.lines().count() + 1);
                        continue;
                    }
                }
                done += 1;
            }
        }
    }
    assert!(done > 200, "only {done} random edits were done, {refused} refused");
    assert!(refused * 4 < done, "{refused} of {done} random edits were refused");
}

/// Paths of every mapping.
fn maps(value: &Value, at: &mut Vec<Step>, out: &mut Vec<Vec<Step>>) {
    let children: Vec<(Step, &Value)> = match value {
        Value::Object(map) => {
            out.push(at.clone());
            map.iter().map(|(key, value)| (Step::Key(key.clone()), value)).collect()
        }
        Value::Array(list) => {
            list.iter().enumerate().map(|(index, value)| (Step::Index(index), value)).collect()
        }
        _ => Vec::new(),
    };
    for (step, value) in children {
        at.push(step);
        maps(value, at, out);
        at.pop();
    }
}

/// Whatever is inserted or removed anywhere: it is done, or refused for a reason a person understands. The proof inside
/// `apply` must never be what stops it: that would be a mistake of the planner.
#[test]
fn no_edit_needs_the_safety_net() {
    let values = [
        json!("x"),
        json!({"a": {"b": ["c", {"d": 1, "e": "two\nlines\n"}]}, "f": []}),
        json!("one\ntwo"),
        json!(["x", ["y"], {"z": null}]),
    ];
    let mut wrong = Vec::new();
    let mut done = 0;
    for case in cases() {
        let Ok(documents) = edit::documents(&case.file, &case.text) else { continue };
        for info in documents {
            let text = &case.text[info.range.clone()];
            let Ok(value) = serde_saphyr::from_str::<Value>(text) else { continue };
            let (mut inner, mut edits) = (Vec::new(), Vec::new());
            maps(&value, &mut Vec::new(), &mut inner);
            for (index, mut path) in inner.into_iter().enumerate() {
                path.push(Step::Key("a new/key".to_owned()));
                edits.push(PathEdit::Set { path, value: values[index % values.len()].clone() });
            }
            let mut ends = Vec::new();
            leaves(&value, &mut Vec::new(), &mut ends);
            for (index, path) in ends.into_iter().enumerate() {
                edits.push(PathEdit::Remove { path: path.clone() });
                edits.push(PathEdit::Set { path, value: values[index % values.len()].clone() });
            }
            // a third of them is enough to find a mistake, and quick
            for step in edits.into_iter().step_by(3) {
                let document = Document::Index(info.index);
                let edit = Edit { document, steps: vec![step] };
                match edit::apply(&case.file, &case.text, &edit) {
                    Ok(_) => done += 1,
                    Err(error) if error.message.contains("is not safe here") => {
                        wrong.push(format!("{}: {:?}\n  {error}", case.name, edit.steps));
                    }
                    Err(_) => {}
                }
            }
        }
    }
    assert!(done > 400, "only {done} edits were done");
    assert!(wrong.is_empty(), "{} edits were stopped:\n{}", wrong.len(), wrong.join("\n"));
}

/// Everything before the value's line is the same, and so is everything after the old value.
fn check_lines(case: &Case, line: usize, after: &str, edit: &Edit) {
    let old: Vec<&str> = case.text.split_inclusive('\n').collect();
    let new: Vec<&str> = after.split_inclusive('\n').collect();
    let head = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let tail =
        old[head..].iter().rev().zip(new[head..].iter().rev()).take_while(|(a, b)| a == b).count();
    let lost = old.len() - head - tail;
    let blocks = old[head..head + lost].len() > 1;
    assert!(
        after == case.text || head + 1 >= line,
        "{}: {edit:?} touched line {}",
        case.name,
        head + 1
    );
    if !blocks {
        assert!(new.len() - head - tail <= 2, "{}: {edit:?} wrote too much", case.name);
    }
}

#[test]
fn documents_tell_their_lines_and_objects() {
    let text = "# head\n---\napiVersion: v1\nkind: Service\nmetadata:\n  name: web\n  namespace: shop\n---\n# none\n---\na: 1\n";
    let documents = edit::documents("a.yaml", text).unwrap();
    let told: Vec<(usize, usize, Option<String>)> = documents
        .iter()
        .map(|d| (d.index, d.line, d.object.as_ref().map(ToString::to_string)))
        .collect();
    assert_eq!(told, [(0, 3, Some("v1/Service/shop/web".to_owned())), (1, 11, None)]);
    assert_eq!(&text[documents[1].range.clone()], "---\na: 1\n");
    let key = |key: &str| Step::Key(key.to_owned());
    let first = Document::Index(0);
    assert_eq!(edit::locate(text, &first, &[key("metadata"), key("namespace")]), Some(7));
    assert_eq!(edit::locate(text, &first, &[key("metadata"), key("labels"), key("a")]), Some(5));
    assert_eq!(edit::locate(text, &Document::Index(2), &[]), None);
}
