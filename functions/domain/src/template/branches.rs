//! Branches: every way in which a part can be rendered, as far as it matters for what it must say.
//!
//! Invariants: a condition that compares numbers of the message with constants is left alone, and the constants are
//! given, so that whoever renders it can take values on both sides of each; every other condition is decided both
//! ways. A condition whose branches name no fact and hold no markup is left alone. Of what passes
//! through `replace` only the length is rendered, since nobody knows what is left of it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use minijinja::Value;
use minijinja::machinery::ast::{BinOpKind, CallArg, CompareOpKind, Expr, Stmt, UnaryOpKind};
use minijinja::machinery::parse;

use super::context::MessageContext;
use super::{RenderError, TemplatePart, TemplateSet};
use crate::channel::Channel;
use crate::ids::TemplateId;

/// The most conditions of a part that are decided both ways; each doubles what is rendered.
pub(crate) const CONDITIONS_MAX: usize = 8;
/// The most different constants that a part compares numbers with.
pub(crate) const CONSTANTS_MAX: usize = 24;

/// Numbers of a message that count days.
const DAYS: [&str; 3] = ["dpd", "days_late", "days_until_due"];
/// Numbers of a message that count items.
const COUNTS: [&str; 3] = ["count", "overdue_count", "upcoming_count"];
/// Values of the lender and of every message, which are there or not, whatever the customer.
const ALWAYS: [&str; 12] = [
    "ways_to_pay",
    "items",
    "lender_name",
    "lender_phone",
    "lender_email",
    "opt_out",
    "opt_out_link",
    "amount",
    "due_on",
    "due_on_short",
    "overdue_amount",
    "upcoming_amount",
];
/// Texts that no rule asks for.
const NO_FACTS: [&str; 2] = ["customer_name", "first_name"];

/// The branches of one part.
#[derive(Debug, Default)]
pub(crate) struct Branches {
    source: String,
    /// The places of each condition that is decided both ways, by its words.
    conditions: BTreeMap<String, Vec<Range<usize>>>,
    /// The places of filters of which nobody knows what they leave.
    dropped: Vec<Range<usize>>,
    /// The numbers of days that something is compared with.
    pub(crate) days: BTreeSet<i64>,
    /// The numbers of items that something is compared with.
    pub(crate) counts: BTreeSet<i64>,
}

/// More branches than are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooManyBranches;

impl TemplateSet {
    /// The branches of the parts of a template for a channel that a customer reads as a whole.
    ///
    /// With `every_word`, a condition also matters that only decides on words.
    pub(crate) fn branches(
        &self,
        id: &TemplateId,
        channel: Channel,
        every_word: bool,
    ) -> Vec<(TemplatePart, Branches)> {
        let parts =
            self.part_names(id, channel).into_iter().filter(|(p, _)| *p != TemplatePart::EmailSubject);
        let source = |name: &str| self.environment.get_template(name).map(|t| t.source().to_owned()).ok();
        parts.filter_map(|(part, name)| Some((part, Branches::of(part, source(name)?, every_word)))).collect()
    }

    /// Renders a part in each of its branches for each message, and gives every text to `see` with the message's place
    /// in the list.
    ///
    /// # Errors
    /// [`TooManyBranches`], or the [`RenderError`] of the first failure.
    pub(crate) fn render_branches(
        &self,
        (id, channel, part): (&TemplateId, Channel, TemplatePart),
        branches: &Branches,
        messages: &[MessageContext<'_>],
        mut see: impl FnMut(usize, &str),
    ) -> Result<Result<(), RenderError>, TooManyBranches> {
        if branches.conditions.len() > CONDITIONS_MAX || branches.constants() > CONSTANTS_MAX {
            return Err(TooManyBranches);
        }
        let values: Vec<Value> = messages.iter().map(|m| m.values(channel)).collect();
        let failed = |error: minijinja::Error| RenderError::Failed {
            template: id.clone(),
            part,
            reason: format!("{:?}", error.kind()),
        };
        // The ending of the name decides whether values are escaped.
        let name = format!("{id}/{part}");
        for choice in 0..1_usize << branches.conditions.len() {
            let source = branches.decided(choice);
            let template = match self.environment.template_from_named_str(&name, &source) {
                Ok(template) => template,
                Err(error) => return Ok(Err(failed(error))),
            };
            for (at, values) in values.iter().enumerate() {
                match template.render(values) {
                    Ok(text) => see(at, &text),
                    Err(error) => return Ok(Err(failed(error))),
                }
            }
        }
        Ok(Ok(()))
    }
}

impl Branches {
    fn of(part: TemplatePart, source: String, every_word: bool) -> Self {
        let mut branches = Self::default();
        if let Ok(tree) = parse(&source, "template", super::syntax()) {
            let is_markup = part == TemplatePart::EmailHtml;
            Walk { source: &source, is_markup, every_word, branches: &mut branches }.statement(&tree);
        }
        branches.source = source;
        branches
    }

    fn constants(&self) -> usize {
        self.days.len().max(self.counts.len())
    }

    /// The source with each condition decided as the bits of a number say.
    fn decided(&self, choice: usize) -> String {
        let mut places: Vec<(&Range<usize>, &str)> =
            self.dropped.iter().map(|place| (place, "length")).collect();
        for (bit, found) in self.conditions.values().enumerate() {
            let answer = if choice >> bit & 1 == 1 { "true" } else { "false" };
            places.extend(found.iter().map(|place| (place, answer)));
        }
        places.sort_by_key(|(place, _)| (place.start, std::cmp::Reverse(place.end)));
        let mut decided = String::with_capacity(self.source.len());
        let mut done = 0;
        for (place, answer) in places {
            if place.start < done {
                continue;
            }
            decided.push_str(self.source.get(done..place.start).unwrap_or_default());
            decided.push_str(answer);
            done = place.end;
        }
        decided.push_str(self.source.get(done..).unwrap_or_default());
        decided
    }
}

struct Walk<'s, 'b> {
    source: &'s str,
    is_markup: bool,
    every_word: bool,
    branches: &'b mut Branches,
}

impl Walk<'_, '_> {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the check of templates refuses every other statement"
    )]
    fn statement(&mut self, statement: &Stmt<'_>) {
        match statement {
            Stmt::Template(template) => template.children.iter().for_each(|s| self.statement(s)),
            Stmt::EmitExpr(emit) => self.value(&emit.expr),
            Stmt::IfCond(choice) => {
                if self.matters(&choice.true_body) || self.matters(&choice.false_body) {
                    self.condition(&choice.expr);
                }
                choice.true_body.iter().chain(&choice.false_body).for_each(|s| self.statement(s));
            }
            Stmt::ForLoop(each) => {
                self.value(&each.iter);
                if let Some(condition) = &each.filter_expr
                    && (self.matters(&each.body) || self.matters(&each.else_body))
                {
                    self.condition(condition);
                }
                each.body.iter().chain(&each.else_body).for_each(|s| self.statement(s));
            }
            _ => {}
        }
    }

    /// Whether statements name a fact, or shape what is seen of others.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the check of templates refuses every other statement"
    )]
    fn matters(&self, statements: &[Stmt<'_>]) -> bool {
        self.every_word && !statements.is_empty()
            || statements.iter().any(|statement| match statement {
                Stmt::EmitExpr(emit) => {
                    names_fact(&emit.expr) || self.is_in_markup(emit.expr.span().start_offset as usize)
                }
                Stmt::EmitRaw(raw) => {
                    let is_shape = |text: &str| text.contains(['<', '>']) || text.contains("--");
                    self.is_markup
                        && !raw.raw.is_empty()
                        && (is_shape(raw.raw) || self.is_in_markup(raw.span().start_offset as usize))
                }
                Stmt::IfCond(choice) => self.matters(&choice.true_body) || self.matters(&choice.false_body),
                Stmt::ForLoop(each) => self.matters(&each.body) || self.matters(&each.else_body),
                _ => true,
            })
    }

    /// Whether a place of the source is inside a tag, a comment or a style sheet.
    fn is_in_markup(&self, at: usize) -> bool {
        let before = self.source.get(..at).unwrap_or_default();
        let opens_last = |open: &str, close: &str| match (before.rfind(open), before.rfind(close)) {
            (Some(open), Some(close)) => open > close,
            (open, None) => open.is_some(),
            (None, Some(_)) => false,
        };
        // A sign of comparison inside a tag of the template may be taken for markup, which only asks for more.
        self.is_markup
            && (opens_last("<", ">") || opens_last("<!--", "-->") || opens_last("<style", "</style"))
    }

    /// Decides a condition both ways, unless it only compares numbers of the message with constants.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "what is not known to be decided by numbers is decided here"
    )]
    fn condition(&mut self, condition: &Expr<'_>) {
        match condition {
            Expr::Const(_) => {}
            Expr::Var(var) if ALWAYS.contains(&var.id) => {}
            Expr::UnaryOp(not) if matches!(not.op, UnaryOpKind::Not) => self.condition(&not.expr),
            Expr::BinOp(both) if matches!(both.op, BinOpKind::ScAnd | BinOpKind::ScOr) => {
                self.condition(&both.left);
                self.condition(&both.right);
            }
            other => {
                let mut numbers = Numbers::default();
                if numbers.is_comparison(other) {
                    let Numbers { constants, of_days, of_counts } = numbers;
                    if of_days {
                        self.branches.days.extend(&constants);
                    }
                    if of_counts {
                        self.branches.counts.extend(&constants);
                    }
                } else {
                    let place = self.place_of_condition(other);
                    let words = self.source.get(place.clone()).unwrap_or_default().to_owned();
                    self.branches.conditions.entry(words).or_default().push(place);
                }
            }
        }
    }

    /// The place of a condition. That of a comparison begins, in the tree, with the word or sign before it.
    #[expect(clippy::wildcard_enum_match_arm, reason = "only comparisons are placed so")]
    fn place_of_condition(&self, condition: &Expr<'_>) -> Range<usize> {
        let place = place_of(condition);
        let is_comparison = match condition {
            Expr::Compare(_) => true,
            Expr::BinOp(both) => matches!(
                both.op,
                BinOpKind::Eq
                    | BinOpKind::Ne
                    | BinOpKind::Lt
                    | BinOpKind::Lte
                    | BinOpKind::Gt
                    | BinOpKind::Gte
                    | BinOpKind::In
            ),
            _ => false,
        };
        if !is_comparison {
            return place;
        }
        let text = self.source.get(place.clone()).unwrap_or_default();
        let rest = text.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '_');
        let after = if rest.len() < text.len() {
            rest
        } else {
            rest.strip_prefix("{{-")
                .or_else(|| rest.strip_prefix("{{"))
                .or_else(|| rest.get(1..))
                .unwrap_or_default()
        };
        place.end - after.trim_start().len()..place.end
    }

    /// Finds the conditions inside an expression whose value matters, and drops what is replaced.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the check of templates refuses every other expression"
    )]
    fn value(&mut self, expr: &Expr<'_>) {
        match expr {
            Expr::IfExpr(choice) => {
                let arms = std::iter::once(&choice.true_expr).chain(&choice.false_expr);
                if self.every_word
                    || arms.clone().any(names_fact)
                    || self.is_in_markup(expr.span().start_offset as usize)
                {
                    self.condition(&choice.test_expr);
                }
                arms.for_each(|arm| self.value(arm));
            }
            Expr::Filter(filter) if filter.name == "replace" && names_fact(expr) => {
                self.branches.dropped.push(place_of(expr));
            }
            Expr::Filter(filter) => filter.expr.iter().for_each(|inner| self.value(inner)),
            Expr::BinOp(both) => {
                if matches!(both.op, BinOpKind::ScAnd | BinOpKind::ScOr) && names_fact(expr) {
                    self.condition(&both.left);
                }
                self.value(&both.left);
                self.value(&both.right);
            }
            Expr::Slice(slice) => {
                self.value(&slice.expr);
                for bound in slice.start.iter().chain(&slice.stop) {
                    let mut numbers = Numbers::default();
                    numbers.note(bound);
                    self.branches.days.extend(&numbers.constants);
                    self.branches.counts.extend(&numbers.constants);
                }
            }
            _ => {}
        }
    }
}

/// The constants of a comparison, and what they are compared with.
#[derive(Default)]
struct Numbers {
    constants: Vec<i64>,
    of_days: bool,
    of_counts: bool,
}

impl Numbers {
    /// Whether an expression compares one number of the message with constants, or asks whether it is zero.
    #[expect(clippy::wildcard_enum_match_arm, reason = "only what is known to be decided by numbers is")]
    fn is_comparison(&mut self, expr: &Expr<'_>) -> bool {
        match expr {
            Expr::BinOp(both) => {
                let compares = matches!(
                    both.op,
                    BinOpKind::Eq
                        | BinOpKind::Ne
                        | BinOpKind::Lt
                        | BinOpKind::Lte
                        | BinOpKind::Gt
                        | BinOpKind::Gte
                );
                compares && self.is_one([&both.left, &both.right])
            }
            Expr::Compare(chain) => {
                let compares =
                    chain.ops.iter().all(|op| !matches!(op.op, CompareOpKind::In | CompareOpKind::NotIn));
                compares
                    && self.is_one(std::iter::once(&chain.expr).chain(chain.ops.iter().map(|op| &op.expr)))
            }
            _ => {
                self.constants.push(0);
                self.is_number(expr)
            }
        }
    }

    /// Whether all but one of the sides are constants, and that one is a number of the message.
    fn is_one<'e>(&mut self, sides: impl IntoIterator<Item = &'e Expr<'e>>) -> bool {
        let mut variables = 0;
        for side in sides {
            match side.as_const().map(|value| value.as_i64()) {
                Some(Some(constant)) => self.constants.push(constant),
                Some(None) => return false,
                None if self.is_number(side) => variables += 1,
                None => return false,
            }
        }
        variables <= 1
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "only these are numbers that whoever renders can choose"
    )]
    fn is_number(&mut self, expr: &Expr<'_>) -> bool {
        match expr {
            Expr::Var(var) if DAYS.contains(&var.id) => self.of_days = true,
            Expr::Var(var) if COUNTS.contains(&var.id) => self.of_counts = true,
            Expr::GetAttr(get) if matches!(&get.expr, Expr::Var(var) if var.id == "loop") => {
                self.of_counts = true;
            }
            Expr::Filter(filter)
                if filter.name == "length"
                    && matches!(&filter.expr, Some(Expr::Var(var)) if var.id == "items") =>
            {
                self.of_counts = true;
            }
            _ => return false,
        }
        true
    }

    /// Notes every constant of an expression.
    #[expect(clippy::wildcard_enum_match_arm, reason = "other expressions hold no number that matters")]
    fn note(&mut self, expr: &Expr<'_>) {
        match expr {
            Expr::Const(constant) => self.constants.extend(constant.value.as_i64()),
            Expr::UnaryOp(unary) => self.note(&unary.expr),
            Expr::BinOp(both) => {
                self.note(&both.left);
                self.note(&both.right);
            }
            _ => {}
        }
    }
}

/// Whether the value of an expression may name a fact that some rule asks for.
#[expect(clippy::wildcard_enum_match_arm, reason = "what is not known to name none may name one")]
fn names_fact(expr: &Expr<'_>) -> bool {
    let is_number = |name: &str| DAYS.contains(&name) || COUNTS.contains(&name);
    match expr {
        Expr::Const(_) | Expr::Compare(_) => false,
        Expr::Var(var) => !is_number(var.id) && !NO_FACTS.contains(&var.id),
        Expr::GetAttr(get) => {
            !is_number(get.name) && !matches!(&get.expr, Expr::Var(var) if var.id == "loop")
        }
        Expr::IfExpr(choice) => {
            names_fact(&choice.true_expr) || choice.false_expr.as_ref().is_some_and(names_fact)
        }
        Expr::BinOp(both) => names_fact(&both.left) || names_fact(&both.right),
        Expr::UnaryOp(unary) => names_fact(&unary.expr),
        Expr::Filter(filter) => {
            let in_argument = |arg: &CallArg<'_>| !matches!(arg, CallArg::Pos(value) if !names_fact(value));
            filter.name != "length"
                && (filter.expr.as_ref().is_some_and(names_fact) || filter.args.iter().any(in_argument))
        }
        _ => true,
    }
}

fn place_of(expr: &Expr<'_>) -> Range<usize> {
    let span = expr.span();
    span.start_offset as usize..span.end_offset as usize
}

#[cfg(test)]
#[path = "branches_tests.rs"]
mod tests;
