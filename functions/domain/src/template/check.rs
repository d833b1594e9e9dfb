//! The check of a template: every expression of every branch, against the kinds of the variables.
//!
//! Invariant: what passes cannot fail while it is rendered. Whatever could (an index that may be out of range,
//! arithmetic on texts, a filter on the wrong kind, a call) is refused, also in a branch that no sample reaches.

use minijinja::machinery::ast::{BinOpKind, CallArg, CompareOpKind, Expr, ForLoop, Stmt, UnaryOpKind};
use minijinja::machinery::parse;
use minijinja::value::ValueKind;

use super::TemplateProblem;
use super::context::{ITEM, Kind, ROOT};

/// How deep loops may stand in each other: a message of many items must not become a book.
const LOOPS_DEEP_MAX: usize = 2;

/// The fields of `loop`.
const LOOP: &[(&str, Kind)] = &[
    ("index", Kind::Number),
    ("index0", Kind::Number),
    ("revindex", Kind::Number),
    ("revindex0", Kind::Number),
    ("length", Kind::Number),
    ("first", Kind::Flag),
    ("last", Kind::Flag),
];

const FILTERS: &str = "upper, lower, capitalize, title, trim, replace, join, length, first, last";

type Problem = (Option<u16>, TemplateProblem);

/// What is wrong with a source, with the lines.
pub(super) fn problems(source: &str) -> Vec<Problem> {
    let tree = match parse(source, "template", super::syntax()) {
        Ok(tree) => tree,
        Err(error) => {
            let line = error.line().and_then(|line| u16::try_from(line).ok());
            let what =
                error.detail().map_or_else(|| error.kind().to_string(), |d| format!("syntax error: {d}"));
            return vec![(line, TemplateProblem::Syntax(what))];
        }
    };
    let mut check = Check { scope: ROOT.to_vec(), loops: 0, problems: Vec::new() };
    check.statement(&tree);
    check.problems
}

struct Check<'a> {
    /// What can be named here; the last one of a name counts.
    scope: Vec<(&'a str, Kind)>,
    loops: usize,
    problems: Vec<Problem>,
}

impl<'a> Check<'a> {
    fn statements(&mut self, statements: &[Stmt<'a>]) {
        for statement in statements {
            self.statement(statement);
        }
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "a statement that a later version adds must be refused, not allowed"
    )]
    fn statement(&mut self, statement: &Stmt<'a>) {
        match statement {
            Stmt::Template(template) => self.statements(&template.children),
            Stmt::EmitRaw(_) => {}
            Stmt::EmitExpr(emit) => {
                let kind = self.kind(&emit.expr);
                if let Some(kind) = kind.filter(|k| !matches!(k, Kind::Text | Kind::Number)) {
                    self.refuse(&emit.expr, &describe(kind), "a text or a number");
                }
            }
            Stmt::IfCond(condition) => {
                self.kind(&condition.expr);
                self.statements(&condition.true_body);
                self.statements(&condition.false_body);
            }
            Stmt::ForLoop(each) => self.each(each),
            _ => self.problems.push((
                None,
                TemplateProblem::NotAllowed {
                    found: "this kind of block".to_owned(),
                    expected: "text, {{ … }}, for and if",
                },
            )),
        }
    }

    fn each(&mut self, each: &ForLoop<'a>) {
        let kind = match self.kind(&each.iter) {
            Some(Kind::Items) => Kind::Item,
            Some(Kind::Texts) => Kind::Text,
            Some(other) => return self.refuse(&each.iter, &describe(other), "items or ways_to_pay"),
            None => return,
        };
        let Expr::Var(target) = &each.target else {
            return self.refuse(&each.target, "this target", "one name, as in `for item in items`");
        };
        if each.recursive || self.loops == LOOPS_DEEP_MAX {
            return self.refuse(&each.iter, "a deeper loop", "at most one loop inside another");
        }
        let outside = self.scope.len();
        self.scope.push((target.id, kind));
        // The condition of a loop is asked before the loop has its counters.
        if let Some(condition) = &each.filter_expr {
            self.kind(condition);
        }
        self.scope.push(("loop", Kind::Loop));
        self.loops += 1;
        self.statements(&each.body);
        self.loops -= 1;
        self.scope.truncate(outside);
        self.statements(&each.else_body);
    }

    /// The kind of an expression; `None` when it has a problem, which is noted.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "an expression that a later version adds must be refused, not allowed"
    )]
    fn kind(&mut self, expr: &Expr<'a>) -> Option<Kind> {
        match expr {
            Expr::Var(var) => {
                let scope = std::mem::take(&mut self.scope);
                let kind = self.named(expr, var.id, "", &scope);
                self.scope = scope;
                kind
            }
            Expr::Const(constant) => match constant.value.kind() {
                ValueKind::String => Some(Kind::Text),
                ValueKind::Bool => Some(Kind::Flag),
                ValueKind::Number if constant.value.as_i64().is_some_and(|n| i32::try_from(n).is_ok()) => {
                    Some(Kind::Number)
                }
                _ => self.refused(
                    expr,
                    "this constant",
                    "a text, true, false or a whole number of common size",
                ),
            },
            Expr::GetAttr(get) => match self.kind(&get.expr)? {
                Kind::Item => self.named(expr, get.name, "item", ITEM),
                Kind::Loop => self.named(expr, get.name, "loop", LOOP),
                other => self.refused(
                    expr,
                    &format!("`.{}` of {}", get.name, describe(other)),
                    "a field of an item",
                ),
            },
            Expr::GetItem(get) => {
                let kind = self.kind(&get.expr)?;
                let is_first = matches!(&get.subscript_expr, Expr::Const(c) if c.value.as_i64() == Some(0));
                if kind == Kind::Items && is_first {
                    return Some(Kind::Item);
                }
                self.refused(expr, "an index", "`items[0]`, since there may be no other, or a loop")
            }
            Expr::Slice(slice) => {
                for bound in [&slice.start, &slice.stop].into_iter().flatten() {
                    if self.kind(bound)? != Kind::Number {
                        return self.refused(expr, "this slice", "whole numbers, as in `ways_to_pay[:3]`");
                    }
                }
                match self.kind(&slice.expr)? {
                    // A slice of the items may be empty, and `items` never is.
                    Kind::Texts if slice.step.is_none() => Some(Kind::Texts),
                    other => {
                        self.refused(expr, &format!("a slice of {}", describe(other)), "`ways_to_pay[:3]`")
                    }
                }
            }
            Expr::UnaryOp(unary) => {
                let kind = self.kind(&unary.expr)?;
                match (&unary.op, kind) {
                    (UnaryOpKind::Not, _) => Some(Kind::Flag),
                    (UnaryOpKind::Neg, Kind::Number) => Some(Kind::Number),
                    (UnaryOpKind::Neg, other) => {
                        self.refused(expr, &format!("minus {}", describe(other)), "a number")
                    }
                }
            }
            Expr::BinOp(binary) => {
                let (left, right) = (self.kind(&binary.left), self.kind(&binary.right));
                self.binary(expr, binary.op, left?, right?)
            }
            Expr::Compare(compare) => {
                let mut left = self.kind(&compare.expr)?;
                for op in &compare.ops {
                    let right = self.kind(&op.expr)?;
                    let is_in = matches!(op.op, CompareOpKind::In | CompareOpKind::NotIn);
                    self.comparable(expr, left, right, is_in)?;
                    left = right;
                }
                Some(Kind::Flag)
            }
            Expr::IfExpr(choice) => {
                self.kind(&choice.test_expr)?;
                let Some(otherwise) = &choice.false_expr else {
                    return self.refused(expr, "`if` without `else`", "`a if condition else b`");
                };
                let (yes, no) = (self.kind(&choice.true_expr)?, self.kind(otherwise)?);
                self.same(expr, yes, no)
            }
            Expr::Filter(filter) => {
                let kind = match &filter.expr {
                    Some(inner) => self.kind(inner)?,
                    None => return self.refused(expr, "a filter of a block", "a filter of a value"),
                };
                self.filter(expr, filter.name, kind, &filter.args)
            }
            _ => self.refused(expr, expr.description(), "variables, comparisons and filters"),
        }
    }

    fn binary(&mut self, expr: &Expr<'a>, op: BinOpKind, left: Kind, right: Kind) -> Option<Kind> {
        match op {
            BinOpKind::Eq
            | BinOpKind::Ne
            | BinOpKind::Lt
            | BinOpKind::Lte
            | BinOpKind::Gt
            | BinOpKind::Gte => {
                self.comparable(expr, left, right, false)?;
                Some(Kind::Flag)
            }
            BinOpKind::In => {
                self.comparable(expr, left, right, true)?;
                Some(Kind::Flag)
            }
            // As a condition any two kinds will do; as a value they must be the same.
            BinOpKind::ScAnd | BinOpKind::ScOr => Some(if left == right { left } else { Kind::Flag }),
            BinOpKind::Add | BinOpKind::Sub if left == Kind::Number && right == Kind::Number => {
                Some(Kind::Number)
            }
            BinOpKind::Concat if is_plain(left) && is_plain(right) => Some(Kind::Text),
            BinOpKind::Add
            | BinOpKind::Sub
            | BinOpKind::Mul
            | BinOpKind::Div
            | BinOpKind::FloorDiv
            | BinOpKind::Rem
            | BinOpKind::Pow
            | BinOpKind::Concat => {
                self.refused(expr, "this arithmetic", "+ or - of numbers, or ~ to join texts and numbers")
            }
        }
    }

    fn comparable(&mut self, expr: &Expr<'a>, left: Kind, right: Kind, is_in: bool) -> Option<()> {
        let is_sound = if is_in {
            left == Kind::Text && matches!(right, Kind::Text | Kind::Texts)
        } else {
            left == right
        };
        if is_sound && !matches!(left, Kind::Item | Kind::Items | Kind::Loop | Kind::Texts) {
            return Some(());
        }
        let found = format!("a comparison of {} with {}", describe(left), describe(right));
        self.refuse(expr, &found, "two numbers or two texts");
        None
    }

    fn same(&mut self, expr: &Expr<'a>, left: Kind, right: Kind) -> Option<Kind> {
        if left == right {
            return Some(left);
        }
        let found = format!("a choice between {} and {}", describe(left), describe(right));
        self.refused(expr, &found, "two of the same kind")
    }

    fn filter(&mut self, expr: &Expr<'a>, name: &str, kind: Kind, args: &[CallArg<'a>]) -> Option<Kind> {
        let texts = args
            .iter()
            .filter(|arg| matches!(arg, CallArg::Pos(value) if self.kind(value) == Some(Kind::Text)))
            .count();
        if texts != args.len() {
            return self.refused(expr, &format!("this argument of `{name}`"), "texts");
        }
        match (name, kind, texts) {
            ("upper" | "lower" | "capitalize" | "title" | "trim", Kind::Text, 0)
            | ("replace", Kind::Text, 2)
            | ("join", Kind::Texts, 0 | 1) => Some(Kind::Text),
            ("length", Kind::Texts | Kind::Items | Kind::Text, 0) => Some(Kind::Number),
            ("first" | "last", Kind::Items, 0) => Some(Kind::Item),
            _ if FILTERS.split(", ").any(|known| known == name) => {
                let found = format!("filter `{name}` of {} with {texts} arguments", describe(kind));
                self.refused(expr, &found, "a filter for this kind of value")
            }
            _ => {
                let problem = TemplateProblem::UnknownFilter { name: name.to_owned(), available: FILTERS };
                self.problems.push((Some(expr.span().start_line), problem));
                None
            }
        }
    }

    /// The kind of a name among those that there are; the last one of a name counts.
    fn named(&mut self, expr: &Expr<'a>, name: &str, of: &str, names: &[(&str, Kind)]) -> Option<Kind> {
        if let Some((_, kind)) = names.iter().rev().find(|(known, _)| *known == name) {
            return Some(*kind);
        }
        let dot = if of.is_empty() { "" } else { "." };
        let problem = TemplateProblem::UnknownVariable {
            name: format!("{of}{dot}{name}"),
            available: names.iter().map(|(known, _)| *known).collect::<Vec<_>>().join(", "),
        };
        self.problems.push((Some(expr.span().start_line), problem));
        None
    }

    fn refuse(&mut self, expr: &Expr<'a>, found: &str, expected: &'static str) {
        let problem = TemplateProblem::NotAllowed { found: found.to_owned(), expected };
        self.problems.push((Some(expr.span().start_line), problem));
    }

    fn refused(&mut self, expr: &Expr<'a>, found: &str, expected: &'static str) -> Option<Kind> {
        self.refuse(expr, found, expected);
        None
    }
}

fn is_plain(kind: Kind) -> bool {
    matches!(kind, Kind::Text | Kind::Number)
}

fn describe(kind: Kind) -> String {
    match kind {
        Kind::Text => "a text",
        Kind::Number => "a number",
        Kind::Flag => "a condition",
        Kind::Texts => "a list of texts",
        Kind::Item => "an item",
        Kind::Items => "the list of items",
        Kind::Loop => "the loop",
    }
    .to_owned()
}
