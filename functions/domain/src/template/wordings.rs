//! Wordings: everything that a part can say in its own words, over all of its branches.
//!
//! Invariants: whatever can stand side by side in a message stands side by side in some piece, up to [`TAIL_CHARS`]
//! characters; a value of the message may be anything, so it parts words and joins no sentence. Branches that end in
//! the same words are one.

use std::collections::BTreeSet;

use minijinja::machinery::ast::{BinOpKind, CallArg, Expr, ForLoop, Stmt};
use minijinja::machinery::parse;

use super::branches::TooManyBranches;
use super::{TemplatePart, TemplateSet};
use crate::channel::Channel;
use crate::ids::TemplateId;

/// How many characters of a piece are kept for the next one: more than the longest forbidden phrase.
const TAIL_CHARS: usize = 72;
/// How many characters of one round of a loop are kept for the next one.
const ROUND_CHARS: usize = 16;
/// The most different endings at one place of a part.
const ENDINGS_MAX: usize = 400;
/// The longest piece that waits for the end of a tag, in bytes.
const OPEN_BYTES_MAX: usize = 2_000;

/// Values that may be empty.
const MAY_BE_EMPTY: [&str; 5] =
    ["account", "overdue_amount", "upcoming_amount", "first_name", "customer_name"];
/// Values that are numbers.
const NUMBERS: [&str; 10] = [
    "dpd",
    "days_late",
    "days_until_due",
    "count",
    "overdue_count",
    "upcoming_count",
    "index",
    "index0",
    "revindex",
    "revindex0",
];

/// How a piece of a part is read: the texts to look at, the last of which is everything that is said.
type Read<'r> = &'r dyn Fn(TemplatePart, &str) -> Vec<String>;

impl TemplateSet {
    /// The pieces of each part of a template for a channel, in which forbidden words are looked for.
    pub(crate) fn wordings(
        &self,
        id: &TemplateId,
        channel: Channel,
        read: Read<'_>,
    ) -> Vec<(TemplatePart, Result<BTreeSet<String>, TooManyBranches>)> {
        let of = |(part, name): (TemplatePart, &str)| {
            let template = self.environment.get_template(name).ok()?;
            Some((part, pieces(part, template.source(), read)))
        };
        self.part_names(id, channel).into_iter().filter_map(of).collect()
    }
}

fn pieces(part: TemplatePart, source: &str, read: Read<'_>) -> Result<BTreeSet<String>, TooManyBranches> {
    let mut walk = Walk { part, read, pieces: BTreeSet::new(), is_full: false };
    if let Ok(tree) = parse(source, "template", super::syntax()) {
        let last = walk.statement(&tree, BTreeSet::from([String::new()]));
        for piece in &last {
            walk.look_at(piece);
        }
    }
    if walk.is_full { Err(TooManyBranches) } else { Ok(walk.pieces) }
}

/// The pieces that are being written, one for each different ending.
type Endings = BTreeSet<String>;

struct Walk<'r> {
    part: TemplatePart,
    read: Read<'r>,
    pieces: BTreeSet<String>,
    is_full: bool,
}

impl Walk<'_> {
    fn statements(&mut self, statements: &[Stmt<'_>], endings: Endings) -> Endings {
        statements.iter().fold(endings, |endings, statement| self.statement(statement, endings))
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the check of templates refuses every other statement"
    )]
    fn statement(&mut self, statement: &Stmt<'_>, endings: Endings) -> Endings {
        let endings = match statement {
            Stmt::Template(template) => return self.statements(&template.children, endings),
            Stmt::EmitRaw(raw) => endings.into_iter().map(|piece| piece + raw.raw).collect(),
            Stmt::EmitExpr(emit) => {
                let mut values = self.values(&emit.expr);
                if self.part == TemplatePart::EmailHtml {
                    values = values.iter().map(|value| escaped(value)).collect();
                }
                let joined =
                    |piece: String| values.iter().map(move |v| format!("{piece}{v}")).collect::<Vec<_>>();
                endings.into_iter().flat_map(joined).collect()
            }
            Stmt::IfCond(choice) => {
                let mut both = self.statements(&choice.true_body, endings.clone());
                both.extend(self.statements(&choice.false_body, endings));
                both
            }
            Stmt::ForLoop(each) => self.each(each, endings),
            _ => endings,
        };
        self.settle(endings)
    }

    /// No round, one round, and one after another; a third brings nothing new side by side.
    fn each(&mut self, each: &ForLoop<'_>, endings: Endings) -> Endings {
        let is_items =
            matches!(&each.iter, Expr::Var(var) if var.id == "items") && each.filter_expr.is_none();
        let mut all =
            if is_items { Endings::new() } else { self.statements(&each.else_body, endings.clone()) };
        let one = self.statements(&each.body, endings);
        // Side by side with the next round stand only the last words of this one.
        let last_words: Endings = one.iter().map(|piece| self.last_words(piece)).collect();
        let two = self.statements(&each.body, last_words);
        all.extend(one);
        all.extend(two);
        all
    }

    /// Looks at what is written where there is a choice or enough of it, and keeps only its end.
    fn settle(&mut self, endings: Endings) -> Endings {
        if endings.len() == 1 && endings.iter().all(|piece| piece.len() < OPEN_BYTES_MAX) {
            return endings;
        }
        let mut settled: Endings = endings.into_iter().map(|piece| self.tail_of(piece)).collect();
        if settled.len() > ENDINGS_MAX {
            self.is_full = true;
            settled = settled.into_iter().take(1).collect();
        }
        settled
    }

    fn tail_of(&mut self, piece: String) -> String {
        let is_markup = self.part == TemplatePart::EmailHtml;
        let is_in_tag = is_markup && piece.rfind('<') > piece.rfind('>');
        if piece.len() <= TAIL_CHARS || (is_in_tag && piece.len() < OPEN_BYTES_MAX) {
            return piece;
        }
        let read = self.look_at(&piece);
        let said = read.last().map_or("", String::as_str);
        if is_markup && read.iter().any(|text| text.trim() != said.trim()) {
            // Something is hidden in it: the markup is kept, so that what is shown next joins what is shown here.
            let cut = piece.char_indices().rev().nth(4 * TAIL_CHARS).map_or(0, |(at, _)| at);
            let from = piece.get(cut..).and_then(|rest| rest.find('<')).map_or(0, |at| cut + at);
            return piece.get(from..).unwrap_or_default().to_owned();
        }
        let tail = end_of(said, TAIL_CHARS);
        if is_markup { escaped(&tail) } else { tail }
    }

    fn last_words(&mut self, piece: &str) -> String {
        let read = self.look_at(piece);
        match read.as_slice() {
            [said] if self.part == TemplatePart::EmailHtml => escaped(&end_of(said, ROUND_CHARS)),
            [said] => end_of(said, ROUND_CHARS),
            _ => piece.to_owned(),
        }
    }

    fn look_at(&mut self, piece: &str) -> Vec<String> {
        let read = (self.read)(self.part, piece);
        for text in &read {
            if !self.pieces.contains(text) {
                self.pieces.insert(text.clone());
            }
        }
        read
    }

    /// What an expression may write.
    #[expect(clippy::wildcard_enum_match_arm, reason = "any other value parts words and joins no sentence")]
    fn values(&mut self, expr: &Expr<'_>) -> Vec<String> {
        match expr {
            Expr::Const(constant) => vec![constant.value.to_string()],
            Expr::Var(var) => value_of(var.id),
            Expr::GetAttr(get) => value_of(get.name),
            Expr::IfExpr(choice) => {
                let mut values = self.values(&choice.true_expr);
                values.extend(choice.false_expr.iter().flat_map(|arm| self.values(arm)));
                values
            }
            Expr::BinOp(both) => match both.op {
                BinOpKind::Concat => {
                    let (left, right) = (self.values(&both.left), self.values(&both.right));
                    self.is_full |= left.len() * right.len() > ENDINGS_MAX;
                    let joined = |l: String| right.iter().map(move |r| format!("{l}{r}")).collect::<Vec<_>>();
                    left.into_iter().flat_map(joined).take(ENDINGS_MAX).collect()
                }
                BinOpKind::ScAnd | BinOpKind::ScOr => {
                    let mut values = self.values(&both.left);
                    values.extend(self.values(&both.right));
                    values
                }
                _ => vec!["7".to_owned()],
            },
            Expr::Filter(filter) => {
                let texts = |arg: &CallArg<'_>| match arg {
                    CallArg::Pos(Expr::Const(constant)) => vec![constant.value.to_string()],
                    CallArg::Pos(_) | CallArg::Kwarg(..) | CallArg::PosSplat(_) | CallArg::KwargSplat(_) => {
                        vec![" ".to_owned()]
                    }
                };
                let args: Vec<String> = filter.args.iter().flat_map(texts).collect();
                let inner: Vec<String> = filter.expr.iter().flat_map(|inner| self.values(inner)).collect();
                match (filter.name, args.as_slice()) {
                    ("replace", [from, to]) => {
                        let replaced = inner.iter().map(|text| text.replace(from.as_str(), to));
                        replaced.chain([to.clone()]).chain(inner.clone()).collect()
                    }
                    ("join", [between]) => vec![format!(" {between} ")],
                    ("length", _) => vec!["7".to_owned()],
                    _ => inner,
                }
            }
            _ => vec![" ".to_owned()],
        }
    }
}

fn value_of(name: &str) -> Vec<String> {
    if NUMBERS.contains(&name) {
        vec!["7".to_owned()]
    } else if MAY_BE_EMPTY.contains(&name) {
        vec![" ".to_owned(), String::new()]
    } else {
        vec![" ".to_owned()]
    }
}

/// The last words of a text, with single spaces.
fn end_of(text: &str, chars_max: usize) -> String {
    let mut words: Vec<&str> = Vec::new();
    let mut chars = 0;
    for word in text.split_whitespace().rev() {
        chars += word.chars().filter(|c| c.is_alphanumeric()).count() + 1;
        words.push(word);
        if chars > chars_max {
            break;
        }
    }
    words.reverse();
    let mut end = words.join(" ");
    if text.ends_with(char::is_whitespace) {
        end.push(' ');
    }
    end
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(source: &str) -> Vec<String> {
        let read = |_: TemplatePart, text: &str| vec![text.to_owned()];
        pieces(TemplatePart::SmsText, source, &read).unwrap().into_iter().collect()
    }

    #[test]
    fn what_can_stand_side_by_side_does() {
        assert_eq!(said("el juz{% if dpd == 901 %}gado{% endif %}"), ["el juz", "el juzgado"]);
        assert_eq!(
            said("{{ 'em' if dpd > 3 else 'de' }}{% if count %}bargo{% else %}manda{% endif %}").len(),
            4
        );
        assert_eq!(said("em{{ '' }}{# no #}bargo"), ["embargo"]);
        assert_eq!(said("{{ 'em' ~ 'bargo' }}"), ["embargo"]);
        assert!(said("{{ 'emXbargo'|replace('X', '') }}").contains(&"embargo".to_owned()));
        assert_eq!(said("juz{{ item.account }}gado"), ["juz gado", "juzgado"]);
        assert!(
            said("{% for way in ways_to_pay %}gado juz{% endfor %}").contains(&"gado juzgado juz".to_owned())
        );
        assert_eq!(said("{% for item in items if item.account %}x{% else %}y{% endfor %}"), ["x", "xx", "y"]);
    }

    #[test]
    fn many_branches_that_end_alike_are_no_more_than_one() {
        let line = "{% if dpd == 1 %}uno{% else %}dos{% endif %} y ahora sigue un texto que es más largo que \
                    lo que de una pieza se guarda para la siguiente, porque tiene más de setenta letras. ";
        assert!(said(&line.repeat(60)).len() <= 200);
        let read = |_: TemplatePart, text: &str| vec![text.to_owned()];
        let short = "{% if dpd == 1 %}a{% else %}b{% endif %}".repeat(20);
        assert_eq!(pieces(TemplatePart::SmsText, &short, &read), Err(TooManyBranches));
    }
}
