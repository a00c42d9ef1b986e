//! Running templates: Go's template language as Helm uses it.
//!
//! The syntax is parsed by a library; what the pieces mean is here, so that every error has its file and line, mappings can
//! be changed (`set`), and nothing that is not known is passed over.

use std::{collections::BTreeMap, rc::Rc};

use gotmpl::parse::{BranchNode, CommandNode, Expr, ListNode, Node, Number, Parser, PipeNode, Pos};

use super::{
    function,
    value::{NO_VALUE, Val},
};
use crate::gitops::unit::SourceError;

/// `include` within `include`, that deep.
const MAX_DEPTH: usize = 60;
/// Steps one chart may take.
const MAX_STEPS: usize = 5_000_000;
/// Bytes one template may write.
const MAX_OUTPUT: usize = 20_000_000;

/// A named template and the file it is written in.
#[derive(Debug, Clone)]
struct Body {
    file: Rc<str>,
    list: Rc<ListNode>,
}

/// Every template of a chart and its subcharts.
#[derive(Debug, Clone, Default)]
pub(super) struct Templates {
    named: BTreeMap<String, Body>,
}

type Run<T> = Result<T, SourceError>;

impl Templates {
    /// Reads a file: it is a template called `name`, and may define others; later definitions win.
    pub(super) fn add(&mut self, name: &str, file: &str, text: &str) -> Run<()> {
        let error = |error: &gotmpl::TemplateError| {
            let (line, message) = match error {
                gotmpl::TemplateError::Parse { line, message, .. }
                | gotmpl::TemplateError::Lex { line, message, .. } => (*line, message.clone()),
                other => (1, other.to_string()),
            };
            SourceError {
                path: file.to_owned(),
                line: line.max(1),
                message: format!("this is no template: {message}"),
            }
        };
        let parser = Parser::new(text, "{{", "}}").map_err(|e| error(&e))?;
        let (list, defines) = parser.parse().map_err(|e| error(&e))?;
        let file: Rc<str> = Rc::from(file);
        for define in defines {
            let body = Body { file: Rc::clone(&file), list: Rc::new(define.body) };
            self.named.insert(define.name.to_string(), body);
        }
        self.named.insert(name.to_owned(), Body { file, list: Rc::new(list) });
        Ok(())
    }

    /// The output of the template called `name` with `dot` as its data.
    pub(super) fn run(&self, name: &str, dot: Val) -> Run<String> {
        let mut runner = Runner { templates: self.clone(), steps: 0, depth: 0 };
        let site = Site { file: Rc::from(name), line: 1 };
        runner.include(name, dot, &site).map(|text| text.replace(NO_VALUE, ""))
    }
}

/// Where in the templates something is.
#[derive(Debug, Clone)]
pub(super) struct Site {
    pub(super) file: Rc<str>,
    pub(super) line: usize,
}

impl Site {
    pub(super) fn error<T>(&self, message: impl Into<String>) -> Run<T> {
        Err(SourceError { path: self.file.to_string(), line: self.line, message: message.into() })
    }
}

/// How a list of nodes ended.
#[derive(PartialEq, Eq)]
enum Flow {
    On,
    Break,
    Continue,
}

pub(super) struct Runner {
    templates: Templates,
    steps: usize,
    depth: usize,
}

/// What is known while one template runs.
struct Frame {
    file: Rc<str>,
    /// `$` and what is declared, innermost last.
    variables: Vec<(String, Val)>,
    out: String,
}

impl Frame {
    fn site(&self, pos: Pos) -> Site {
        Site { file: Rc::clone(&self.file), line: pos.line.max(1) }
    }
}

impl Runner {
    /// The output of a named template.
    pub(super) fn include(&mut self, name: &str, dot: Val, site: &Site) -> Run<String> {
        let Some(body) = self.templates.named.get(name).cloned() else {
            return site.error(format!("there is no template '{name}'"));
        };
        self.enter(&body, dot, site)
    }

    /// The output of a text that is a template itself.
    pub(super) fn tpl(&mut self, text: &str, dot: Val, site: &Site) -> Run<String> {
        if !text.contains("{{") {
            return Ok(text.to_owned());
        }
        let mut inner = self.templates.clone();
        if let Err(error) = inner.add("gotpl", &site.file, text) {
            return site.error(format!("in a text given to tpl: {}", error.message));
        }
        let mut body = inner.named.get("gotpl").cloned();
        std::mem::swap(&mut self.templates, &mut inner);
        let result =
            body.take().map_or_else(|| site.error("tpl"), |body| self.enter(&body, dot, site));
        std::mem::swap(&mut self.templates, &mut inner);
        result.map(|text| text.replace(NO_VALUE, ""))
    }

    fn enter(&mut self, body: &Body, dot: Val, site: &Site) -> Run<String> {
        if self.depth >= MAX_DEPTH {
            return site.error("templates include each other too deeply");
        }
        self.depth += 1;
        let mut frame = Frame {
            file: Rc::clone(&body.file),
            variables: vec![("$".to_owned(), dot.clone())],
            out: String::new(),
        };
        let result = self.list(&body.list, &dot, &mut frame);
        self.depth -= 1;
        result.map(|_| frame.out)
    }

    fn list(&mut self, list: &ListNode, dot: &Val, frame: &mut Frame) -> Run<Flow> {
        for node in &list.nodes {
            let flow = self.node(node, dot, frame)?;
            if flow != Flow::On {
                return Ok(flow);
            }
        }
        Ok(Flow::On)
    }

    fn node(&mut self, node: &Node, dot: &Val, frame: &mut Frame) -> Run<Flow> {
        self.steps += 1;
        match node {
            Node::List(list) => return self.list(list, dot, frame),
            Node::Text(text) => frame.out.push_str(&text.text),
            Node::Action(action) => {
                let value = self.pipe(&action.pipe, dot, frame)?;
                if action.pipe.decl.is_empty() {
                    frame.out.push_str(&value.output());
                }
            }
            Node::If(branch) => return self.branch(branch, dot, frame, false),
            Node::With(branch) => return self.branch(branch, dot, frame, true),
            Node::Range(branch) => return self.range(branch, dot, frame),
            Node::Template(call) => {
                let site = frame.site(call.pos);
                let value = match &call.pipe {
                    Some(pipe) => self.pipe(pipe, dot, frame)?,
                    None => Val::Nil,
                };
                let text = self.include(&call.name, value, &site)?;
                frame.out.push_str(&text);
            }
            Node::Define(_) => {}
            Node::Break(_) => return Ok(Flow::Break),
            Node::Continue(_) => return Ok(Flow::Continue),
        }
        if self.steps > MAX_STEPS || frame.out.len() > MAX_OUTPUT {
            return Site { file: Rc::clone(&frame.file), line: 1 }
                .error("this template takes too long or writes too much");
        }
        Ok(Flow::On)
    }

    fn branch(
        &mut self,
        branch: &BranchNode,
        dot: &Val,
        frame: &mut Frame,
        is_with: bool,
    ) -> Run<Flow> {
        let scope = frame.variables.len();
        let value = self.pipe(&branch.pipe, dot, frame)?;
        let flow = if value.truth() {
            self.list(&branch.body, if is_with { &value } else { dot }, frame)
        } else {
            branch.else_body.as_ref().map_or(Ok(Flow::On), |other| self.list(other, dot, frame))
        };
        frame.variables.truncate(scope);
        flow
    }

    fn range(&mut self, branch: &BranchNode, dot: &Val, frame: &mut Frame) -> Run<Flow> {
        let scope = frame.variables.len();
        let mut pipe = branch.pipe.clone();
        let names = std::mem::take(&mut pipe.decl);
        let value = self.pipe(&pipe, dot, frame)?;
        let items: Vec<(Val, Val)> = match &value {
            Val::Nil => Vec::new(),
            Val::List(items) => (0..).map(Val::Int).zip(items.iter().cloned()).collect(),
            Val::Map(map) => {
                map.borrow().iter().map(|(key, value)| (Val::str(key), value.clone())).collect()
            }
            Val::Files(files) => files
                .iter()
                .map(|(key, bytes)| (Val::str(key), Val::str(String::from_utf8_lossy(bytes))))
                .collect(),
            Val::Int(count) => (0..*count).map(|i| (Val::Int(i), Val::Int(i))).collect(),
            other => {
                return frame
                    .site(branch.pos)
                    .error(format!("range cannot go over a {}", other.type_name()));
            }
        };
        if items.is_empty() {
            return branch
                .else_body
                .as_ref()
                .map_or(Ok(Flow::On), |other| self.list(other, dot, frame));
        }
        for (key, item) in items {
            frame.variables.truncate(scope);
            let bound = match names.as_slice() {
                [value] => vec![(value, item.clone())],
                [index, value] => vec![(index, key), (value, item.clone())],
                _ => Vec::new(),
            };
            for (name, value) in bound {
                bind(frame, name, value, branch.pipe.is_assign, branch.pos)?;
            }
            if self.list(&branch.body, &item, frame)? == Flow::Break {
                break;
            }
        }
        frame.variables.truncate(scope);
        Ok(Flow::On)
    }

    fn pipe(&mut self, pipe: &PipeNode, dot: &Val, frame: &mut Frame) -> Run<Val> {
        let mut value = None;
        for command in &pipe.commands {
            value = Some(self.command(command, value, dot, frame)?);
        }
        let value = value.unwrap_or(Val::Nil);
        for name in &pipe.decl {
            bind(frame, name, value.clone(), pipe.is_assign, pipe.pos)?;
        }
        Ok(value)
    }

    fn command(
        &mut self,
        command: &CommandNode,
        piped: Option<Val>,
        dot: &Val,
        frame: &mut Frame,
    ) -> Run<Val> {
        self.steps += 1;
        let Some((first, rest)) = command.args.split_first() else { return Ok(Val::Nil) };
        let site = frame.site(first.pos());
        if let Expr::Identifier(_, name) = first {
            return self.call(name, rest, piped, dot, frame, &site);
        }
        if rest.is_empty() && piped.is_none() {
            return self.expr(first, dot, frame);
        }
        let mut args = Vec::new();
        for arg in rest {
            args.push(self.expr(arg, dot, frame)?);
        }
        args.extend(piped);
        let (base, chain): (Val, Vec<&str>) = match first {
            Expr::Field(_, chain) => {
                (dot.clone(), chain.iter().map(|name| name.as_str()).collect())
            }
            Expr::Variable(_, name, chain) => {
                (variable(frame, name, &site)?, chain.iter().map(|name| name.as_str()).collect())
            }
            Expr::Chain(_, inner, chain) => {
                (self.expr(inner, dot, frame)?, chain.iter().map(|name| name.as_str()).collect())
            }
            _ => return site.error("this is not a function and takes no arguments"),
        };
        match chain.split_last() {
            Some((method, before)) => {
                let target = fields(base, before, &site)?;
                match function::method(&target, method, &args) {
                    Some(result) => {
                        result.or_else(|message| site.error(format!("{method}: {message}")))
                    }
                    None => site.error(format!("{method} takes no arguments")),
                }
            }
            None => site.error("this takes no arguments"),
        }
    }

    /// Calls a function by name.
    #[expect(
        clippy::too_many_arguments,
        reason = "what a call is made of; a struct would only be taken apart again"
    )]
    fn call(
        &mut self,
        name: &str,
        rest: &[Expr],
        piped: Option<Val>,
        dot: &Val,
        frame: &mut Frame,
        site: &Site,
    ) -> Run<Val> {
        // `and` and `or` stop at the argument that decides
        if matches!(name, "and" | "or") {
            let mut value = Val::Nil;
            for arg in rest {
                value = self.expr(arg, dot, frame)?;
                if value.truth() == (name == "or") {
                    return Ok(value);
                }
            }
            return Ok(piped.unwrap_or(value));
        }
        let mut args = Vec::new();
        for arg in rest {
            args.push(self.expr(arg, dot, frame)?);
        }
        args.extend(piped);
        match (name, args.as_slice()) {
            ("include", [Val::Str(name), data]) => {
                self.include(name, data.clone(), site).map(Val::str)
            }
            ("tpl", [Val::Str(text), data]) => self.tpl(text, data.clone(), site).map(Val::str),
            ("include" | "tpl", _) => site.error(format!("{name} needs a text and data")),
            _ => match function::call(name, &args) {
                Some(result) => result.or_else(|message| site.error(format!("{name}: {message}"))),
                None => site.error(format!("the function '{name}' is not supported")),
            },
        }
    }

    fn expr(&mut self, expr: &Expr, dot: &Val, frame: &mut Frame) -> Run<Val> {
        let site = frame.site(expr.pos());
        let names = |chain: &[gotmpl::parse::SmolStr]| {
            chain.iter().map(|name| name.to_string()).collect::<Vec<_>>()
        };
        Ok(match expr {
            Expr::Dot(_) => dot.clone(),
            Expr::Nil(_) => Val::Nil,
            Expr::Bool(_, value) => Val::Bool(*value),
            Expr::String(_, text) => Val::str(text),
            Expr::Number(_, Number::Int(number)) => Val::Int(*number),
            Expr::Number(_, Number::Uint(number)) => {
                Val::Int(i64::try_from(*number).unwrap_or(i64::MAX))
            }
            Expr::Number(_, Number::Float(number)) => Val::Float(*number),
            Expr::Field(_, chain) => fields(dot.clone(), &names(chain), &site)?,
            Expr::Variable(_, name, chain) => {
                fields(variable(frame, name, &site)?, &names(chain), &site)?
            }
            Expr::Identifier(_, name) => self.call(name, &[], None, dot, frame, &site)?,
            Expr::Pipe(_, pipe) => {
                let scope = frame.variables.len();
                let value = self.pipe(pipe, dot, frame)?;
                frame.variables.truncate(scope);
                value
            }
            Expr::Chain(_, inner, chain) => {
                let base = self.expr(inner, dot, frame)?;
                fields(base, &names(chain), &site)?
            }
        })
    }
}

fn variable(frame: &Frame, name: &str, site: &Site) -> Run<Val> {
    match frame.variables.iter().rev().find(|(other, _)| other == name) {
        Some((_, value)) => Ok(value.clone()),
        None => site.error(format!("the variable {name} is not declared")),
    }
}

/// Declares a variable, or assigns to the innermost one of that name.
fn bind(frame: &mut Frame, name: &str, value: Val, assign: bool, pos: Pos) -> Run<()> {
    if !assign {
        frame.variables.push((name.to_owned(), value));
        return Ok(());
    }
    let site = frame.site(pos);
    match frame.variables.iter_mut().rev().find(|(other, _)| other == name) {
        Some((_, old)) => {
            *old = value;
            Ok(())
        }
        None => site.error(format!("the variable {name} is not declared")),
    }
}

/// `.a.b.c` of a value.
fn fields<S: AsRef<str>>(base: Val, chain: &[S], site: &Site) -> Run<Val> {
    let mut value = base;
    for name in chain {
        let name = name.as_ref();
        value = match &value {
            Val::Map(map) => map.borrow().get(name).cloned().unwrap_or(Val::Nil),
            Val::Nil => {
                return site.error(format!(
                    "there is nothing to take '.{name}' from: a value before it is missing"
                ));
            }
            other => match function::method(other, name, &[]) {
                Some(result) => {
                    result.or_else(|message| site.error(format!("{name}: {message}")))?
                }
                None => return site.error(format!("a {} has no '.{name}'", other.type_name())),
            },
        };
    }
    Ok(value)
}
