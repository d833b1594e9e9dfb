//! Reports: what was checked, and every rule that was broken.
//!
//! Invariant: every violation is counted; of each rule the first ones are kept, so that a flood of one kind
//! cannot push the others out. A report names ids, lines and days, never an address or a text.

use std::collections::BTreeMap;
use std::fmt;

use chrono::NaiveDate;

/// The most violations of one rule that are kept with their details; the rest is only counted.
pub const VIOLATIONS_KEPT_PER_RULE_MAX: usize = 100;

/// The longest detail, in characters.
const DETAIL_CHARS_MAX: usize = 200;

/// A file of a replay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LogFile {
    /// `messages.jsonl`.
    Messages,
    /// `decisions.jsonl`.
    Decisions,
}

impl fmt::Display for LogFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Messages => "messages.jsonl",
            Self::Decisions => "decisions.jsonl",
        })
    }
}

macro_rules! rules {
    ($($(#[$doc:meta])* $name:ident = $text:literal),+ $(,)?) => {
        /// A rule that a replay must keep.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Rule { $($(#[$doc])* $name),+ }

        impl Rule {
            /// Every rule.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The stable name.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text),+ }
            }
        }
    };
}

rules! {
    /// A line parses and has exactly the keys of its format.
    Line = "line",
    /// Messages stand in the order of their instants.
    Order = "order",
    /// Messages and decisions lie within the days of the replay.
    Period = "period",
    /// An instant is written with the offset of the customer's own zone.
    Offset = "offset",
    /// Nothing is sent to a customer of whom nobody knows by which clock it lives.
    NoTimeZone = "no_time_zone",
    /// A message has an address, a text and at least one obligation.
    Empty = "empty",
    /// Every message has a subject, an SMS has none.
    Subject = "subject",
    /// The history knows the customer and the obligation.
    UnknownObligation = "unknown_obligation",
    /// No message about an obligation that is not known yet.
    MessageNotYetKnown = "message_not_yet_known",
    /// No message about an obligation that is closed.
    MessageClosed = "message_closed",
    /// No message about an obligation in dispute.
    MessageDisputed = "message_disputed",
    /// The policy has the stage.
    StageUnknown = "stage_unknown",
    /// No stage is sent twice for an obligation.
    StageTwice = "stage_twice",
    /// After a stage only a later one is sent.
    StageBackwards = "stage_backwards",
    /// A stage is not sent before its day.
    StageNotDue = "stage_not_due",
    /// A stage whose purpose ended with the due date is not sent after it.
    StageExpired = "stage_expired",
    /// Of the stages that are due, the highest is sent.
    StageNotHighest = "stage_not_highest",
    /// Nothing is sent after the last day of the policy.
    PolicyOver = "policy_over",
    /// A message has the stage of its most overdue obligation.
    LeadStage = "lead_stage",
    /// A message has the tone of its most overdue obligation.
    LeadTone = "lead_tone",
    /// A message has the purpose that fits the days past due of its most overdue obligation.
    LeadPurpose = "lead_purpose",
    /// A customer gets at most one message in a local day.
    OneMessageADay = "one_message_a_day",
    /// A touch is sent once.
    TouchTwice = "touch_twice",
    /// Nothing is sent in a year without holidays in the table.
    NoCalendar = "no_calendar",
    /// The jurisdiction has a rule for the purpose and the channel.
    NoRule = "no_rule",
    /// Nothing is sent on a closed holiday.
    Holiday = "holiday",
    /// Nothing is sent on a closed day of the week.
    ClosedDay = "closed_day",
    /// Nothing is sent outside the hours of a day that is open, a holiday among them.
    OutsideHours = "outside_hours",
    /// No cap of the jurisdiction is passed.
    Cap = "cap",
    /// On the day a stage falls due, there is a decision.
    StageUndecided = "stage_undecided",
    /// On the day a stage falls due, the decision names it.
    StageUnnamed = "stage_unnamed",
    /// On every day from the first stage to the end of the policy, there is a decision.
    DayUndecided = "day_undecided",
    /// There is one decision for an obligation and a day.
    DecidedTwice = "decided_twice",
    /// A decision to send has its message.
    SendWithoutMessage = "send_without_message",
    /// A message has its decision to send.
    MessageWithoutSend = "message_without_send",
    /// Every decision has reasons, and every reason a code.
    NoReason = "no_reason",
    /// A deferral is taken up again.
    DeferralLost = "deferral_lost",
    /// No decision about an obligation that is not known yet.
    DecisionNotYetKnown = "decision_not_yet_known",
    /// No decision about an obligation that is closed.
    DecisionClosed = "decision_closed",
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One broken rule. What is absent does not apply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The rule.
    pub rule: Rule,
    /// The file and the line, counted from 1; absent where a line is missing.
    pub place: Option<(LogFile, usize)>,
    /// The customer's local day.
    pub on: Option<NaiveDate>,
    /// The customer.
    pub customer: Option<String>,
    /// The obligation.
    pub obligation: Option<String>,
    /// The touch.
    pub touch: Option<String>,
    /// What was found and what was expected.
    pub detail: String,
}

impl Violation {
    pub(crate) fn new(rule: Rule, detail: impl Into<String>) -> Self {
        let detail = detail.into().chars().take(DETAIL_CHARS_MAX).collect();
        Self { rule, place: None, on: None, customer: None, obligation: None, touch: None, detail }
    }

    pub(crate) fn at(mut self, file: LogFile, line: usize) -> Self {
        self.place = Some((file, line));
        self
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.rule)?;
        if let Some((file, line)) = self.place {
            write!(f, ", {file} line {line}")?;
        }
        if let Some(on) = self.on {
            write!(f, ", {on}")?;
        }
        let ids = [("customer", &self.customer), ("obligation", &self.obligation), ("touch", &self.touch)];
        for (what, id) in ids {
            if let Some(id) = id {
                write!(f, ", {what} {id}")?;
            }
        }
        write!(f, ": {}", self.detail)
    }
}

/// How much was checked, so that no violation among nothing does not look like success.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Checked {
    /// Lines of `messages.jsonl`.
    pub messages: usize,
    /// Lines of `decisions.jsonl`.
    pub decisions: usize,
    /// Obligations of the history.
    pub obligations: usize,
    /// How often a stage fell due for a known, open, undisputed obligation within the replay.
    pub stages_due: usize,
}

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// How much was checked.
    pub checked: Checked,
    /// Of each rule the first [`VIOLATIONS_KEPT_PER_RULE_MAX`] violations, in the order of the rules.
    pub violations: Vec<Violation>,
    /// How often each rule was broken, beyond what is kept; rules that were kept are absent.
    pub counts: BTreeMap<Rule, usize>,
}

impl Report {
    /// Whether no rule was broken. Look at [`Report::checked`] too: nothing was broken where nothing was checked.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.counts.is_empty()
    }

    /// How often a rule was broken, all rules together.
    #[must_use]
    pub fn violations_total(&self) -> usize {
        self.counts.values().sum()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Checked { messages, decisions, obligations, stages_due } = self.checked;
        writeln!(
            f,
            "checked {messages} messages and {decisions} decisions about {obligations} obligations, \
             for which a stage fell due {stages_due} times"
        )?;
        if self.checked == Checked::default() {
            writeln!(f, "nothing was there to check")?;
        }
        writeln!(f, "{} violations of {} rules", self.violations_total(), Rule::ALL.len())?;
        for (rule, count) in &self.counts {
            writeln!(f, "  {count:>8} {rule}")?;
        }
        for violation in &self.violations {
            writeln!(f, "{violation}")?;
        }
        let left_out = self.violations_total() - self.violations.len();
        if left_out > 0 {
            writeln!(f, "and {left_out} more, of each rule after the first {VIOLATIONS_KEPT_PER_RULE_MAX}")?;
        }
        Ok(())
    }
}

/// Violations as they are found.
#[derive(Default)]
pub(crate) struct Findings(BTreeMap<Rule, (usize, Vec<Violation>)>);

impl Findings {
    pub(crate) fn add(&mut self, violation: Violation) {
        let (count, kept) = self.0.entry(violation.rule).or_default();
        *count += 1;
        if kept.len() < VIOLATIONS_KEPT_PER_RULE_MAX {
            kept.push(violation);
        }
    }

    pub(crate) fn into_report(self, checked: Checked) -> Report {
        let counts = self.0.iter().map(|(rule, (count, _))| (*rule, *count)).collect();
        let violations = self.0.into_values().flat_map(|(_, kept)| kept).collect();
        Report { checked, violations, counts }
    }
}
