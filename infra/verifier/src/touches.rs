//! Touches: every claim has its touch, every touch that was taken has its claim, and what is told about one is what its
//! history and its decision say.
//!
//! Invariant: a claim that was not taken back has exactly one touch, and nothing about that touch is free: what is not in
//! the entry of its claim follows from the policy or from the history. The history itself is the provider's word.

use std::collections::{BTreeMap, BTreeSet};

use crate::chain::{Link, clipped, first_of, instant, touch_id};
use crate::document::{ClaimedTouch, Decision, Document, Fact, KeptTouch, Report};
use crate::file::{EvidenceFile, Said, Touch};
use crate::rules::RuleTexts;
use crate::{CLOCK_SKEW_MILLIS_MAX, Problem};

/// The states of a touch that no sender has taken, or that was given back.
const NOT_TAKEN: [&str; 3] = ["planned", "prevented", "superseded"];
/// The states of a touch that was taken, the one about which more is known later.
const TAKEN: [&str; 7] = ["claimed", "unknown", "sent", "failed", "delivered", "bounced", "complained"];
/// Who may say what: the report, the state that it tells of, and its sources.
const REPORTS: [(&str, &str, &[&str]); 8] = [
    ("unknown", "unknown", &["sender", "sweeper"]),
    ("sent", "sent", &["sender", "provider", "person"]),
    ("delayed", "sent", &["provider"]),
    ("failed", "failed", &["sender", "provider", "person"]),
    ("delivered", "delivered", &["provider"]),
    ("soft_bounced", "bounced", &["provider"]),
    ("hard_bounced", "bounced", &["provider"]),
    ("complained", "complained", &["provider"]),
];
/// The longest code of a report, in characters.
const CODE_CHARS_MAX: usize = 60;

/// A claim, and whether it was taken back.
pub(crate) struct Claim<'a> {
    pub(crate) number: usize,
    pub(crate) at_ms: i64,
    pub(crate) decision: &'a Decision,
    pub(crate) touch: &'a ClaimedTouch,
    pub(crate) is_released: bool,
    /// The obligations whose stage was taken back, because the message did not arrive.
    pub(crate) fell_back: BTreeSet<&'a str>,
}

/// The claims of the chain since the customer's data was last erased, in their order, after those that it kept.
pub(crate) fn claims<'a>(links: &'a [Link<'_>]) -> Result<Vec<Claim<'a>>, Problem> {
    let mut claims: Vec<Claim<'a>> = Vec::new();
    // The claim of each touch that was not taken back.
    let mut open: BTreeMap<&str, usize> = BTreeMap::new();
    for link in links {
        let no_claim = |what: &str| link.broken(format!("it {what} a claim that is not there"));
        match &link.document {
            Document::Decision(decision) => {
                let Some(touch) = &decision.touch else { continue };
                if first_of(&touch.id).is_some_and(|first| !open.contains_key(first)) {
                    return Err(
                        link.broken("it is the second attempt at a touch that no entry before it claims")
                    );
                }
                if open.insert(&touch.id, claims.len()).is_some() {
                    return Err(link.broken("it claims a touch that an earlier entry claimed for good"));
                }
                claims.push(Claim {
                    number: link.number,
                    at_ms: decision.at_ms,
                    decision,
                    touch,
                    is_released: false,
                    fell_back: BTreeSet::new(),
                });
            }
            Document::Fact(fact) => match &fact.fact {
                Fact::Released { touch, claimed_at_ms } => {
                    let claim = open.remove(touch.as_str()).and_then(|place| claims.get_mut(place));
                    let claim = claim.filter(|c| c.at_ms == *claimed_at_ms);
                    claim.ok_or_else(|| no_claim("takes back"))?.is_released = true;
                }
                Fact::Report(report) => {
                    let claim = open.get(report.touch.as_str()).and_then(|place| claims.get_mut(*place));
                    let claim = claim.filter(|c| c.at_ms == report.claimed_at_ms);
                    let claim = claim.ok_or_else(|| no_claim("is a report about"))?;
                    claim.fell_back.extend(report.fell_back.iter().map(String::as_str));
                    bring_back(&mut claims, &open, report).map_err(|id| {
                        let id = clipped(id);
                        link.broken(format!("it brings back the stage of {id}, which was not taken back"))
                    })?;
                }
                Fact::Erased { kept } => {
                    let is_of = |claim: &Claim<'_>, kept: &KeptTouch| {
                        let day = kept.on.to_string();
                        claim.touch.id == kept.id && claim.decision.local.starts_with(&day)
                    };
                    let claimed = |kept: &&KeptTouch| {
                        let claim = open.get(kept.id.as_str()).and_then(|place| claims.get(*place));
                        !claim.is_some_and(|claim| is_of(claim, kept))
                    };
                    if let Some(KeptTouch { id, .. }) = kept.iter().find(claimed) {
                        let id = clipped(id);
                        return Err(
                            link.broken(format!("it keeps touch {id}, which no entry claims for its day"))
                        );
                    }
                    claims.retain(|claim| !claim.is_released && kept.iter().any(|kept| is_of(claim, kept)));
                    let places =
                        claims.iter().enumerate().map(|(place, claim)| (claim.touch.id.as_str(), place));
                    open = places.collect();
                }
                Fact::Contact { .. } | Fact::Choice(_) => {}
            },
        }
    }
    Ok(claims)
}

/// Takes back that stages of a message were taken back. Of two attempts at one message the entry of either may have said
/// so, for both. Gives the first obligation of which none did.
fn bring_back<'r>(
    claims: &mut [Claim<'_>],
    open: &BTreeMap<&str, usize>,
    report: &'r Report,
) -> Result<(), &'r str> {
    let id = report.touch.as_str();
    let second = format!("{id}-2");
    let attempts: Vec<usize> =
        [Some(id), first_of(id), Some(&second)].into_iter().filter_map(|id| open.get(id?).copied()).collect();
    for back in &report.restored {
        let mut was = false;
        for place in &attempts {
            was |= claims.get_mut(*place).is_some_and(|claim| claim.fell_back.remove(back.as_str()));
        }
        if !was {
            return Err(back);
        }
    }
    Ok(())
}

/// Checks the touches against the claims.
pub(crate) fn check(
    file: &EvidenceFile,
    links: &[Link<'_>],
    claims: &[Claim<'_>],
    rules: &RuleTexts<'_>,
) -> Result<(), Problem> {
    let mut before = None;
    let mut taken = BTreeSet::new();
    let standing: BTreeMap<&str, &Claim<'_>> =
        claims.iter().filter(|c| !c.is_released).map(|c| (c.touch.id.as_str(), c)).collect();
    for (i, touch) in file.touches.iter().enumerate() {
        let broken = |what: String| Problem {
            entry: None,
            place: Some(format!("touches[{i}]")),
            at: touch.claimed_at_ms.and_then(instant),
            what: format!("touch {} {what}", clipped(&touch.id)),
        };
        let place = Some((touch.on, touch.id.as_str()));
        if before >= place {
            return Err(broken("is out of order; expected each once for a day, by day and id".to_owned()));
        }
        before = place;
        let id = first_of(&touch.id).unwrap_or(&touch.id);
        if id != touch_id(&file.tenant, &touch.channel, &touch.items) || touch.items.is_empty() {
            return Err(broken("has another id than what it is about; expected the hash of it".to_owned()));
        }
        let found = if NOT_TAKEN.contains(&touch.state.as_str()) {
            not_taken(touch)
        } else if TAKEN.contains(&touch.state.as_str()) {
            if !taken.insert(touch.id.as_str()) {
                return Err(broken("was taken twice; expected at most once".to_owned()));
            }
            match standing.get(touch.id.as_str()) {
                Some(claim) => was_claimed(touch, claim, links).and_then(|()| history(touch)),
                None => {
                    Err(format!("is {} and no entry claims it; expected the entry of its claim", touch.state))
                }
            }
        } else {
            Err(format!(
                "has the state {:?}; expected one of {TAKEN:?} or {NOT_TAKEN:?}",
                clipped(&touch.state)
            ))
        };
        found.and_then(|()| by_policy(touch, rules)).map_err(broken)?;
    }
    let missing = claims.iter().find(|c| !c.is_released && !taken.contains(c.touch.id.as_str()));
    missing.map_or(Ok(()), |claim| {
        let what =
            format!("touch {} is missing; expected it among the touches, taken", clipped(&claim.touch.id));
        Err(Problem { entry: Some(claim.number), place: None, at: instant(claim.at_ms), what })
    })
}

/// A touch that waits or never went says nothing about a provider.
fn not_taken(touch: &Touch) -> Result<(), String> {
    let Touch { claimed_at_ms, fence_version, provider_id, history, .. } = touch;
    if claimed_at_ms.is_some() || fence_version.is_some() || provider_id.is_some() || !history.is_empty() {
        return Err(format!("is {} and tells of a claim; expected none", touch.state));
    }
    let is_over = touch.state != "planned";
    if touch.settled_at_ms.is_some() != is_over || touch.reason.is_some() != is_over {
        return Err(format!("is {}; expected when and why it was closed, or neither", touch.state));
    }
    Ok(())
}

/// A touch that was taken is what the entry of its claim says.
fn was_claimed(touch: &Touch, claim: &Claim<'_>, links: &[Link<'_>]) -> Result<(), String> {
    let link = links.get(claim.number - 1);
    let on = link.and_then(|link| link.local).map(|local| local.date());
    let decision = claim.decision;
    let same = [
        ("channel", touch.channel == claim.touch.channel),
        ("purpose", touch.purpose == claim.touch.purpose),
        ("stage", touch.stage == claim.touch.stage),
        ("template", touch.template == claim.touch.template),
        ("items", touch.items == claim.touch.items()),
        ("policy", touch.policy == decision.policy),
        ("policy_version", touch.policy_version == decision.policy_version),
        ("claimed_at_ms", touch.claimed_at_ms == Some(claim.at_ms)),
        ("send_at_ms", touch.send_at_ms == claim.at_ms),
        ("fence_version", touch.fence_version == Some(decision.fence_version)),
        ("on", Some(touch.on) == on),
    ];
    match same.into_iter().find(|(_, same)| !same) {
        Some((name, _)) => Err(format!("has another {name} than entry {}, which claims it", claim.number)),
        None => Ok(()),
    }
}

/// What a touch says beside its claim is what its policy says.
fn by_policy(touch: &Touch, rules: &RuleTexts<'_>) -> Result<(), String> {
    let Some(policy) = rules.policy(&touch.policy, touch.policy_version) else { return Ok(()) };
    let stage = policy
        .stage(&touch.stage)
        .ok_or_else(|| format!("has the stage {}, which its policy lacks", touch.stage))?;
    if stage.tone != touch.tone || stage.template != touch.template {
        return Err(format!(
            "has the tone {} and the template {}; expected those of its stage",
            touch.tone, touch.template
        ));
    }
    let other = touch.items.iter().find(|i| policy.stage(&i.stage).is_none_or(|s| s.dpd != i.dpd));
    match other {
        Some(item) => Err(format!(
            "has {} at {} and {} days; expected the trigger of the stage",
            item.obligation, item.stage, item.dpd
        )),
        None if touch.items.first().is_some_and(|i| i.stage != touch.stage) => {
            Err("has another stage than its first obligation".to_owned())
        }
        None => Ok(()),
    }
}

/// The state of a touch, when it was settled and why follow from what was said about it.
fn history(touch: &Touch) -> Result<(), String> {
    let (mut state, mut settled_at_ms, mut decisive) = ("claimed", None, None::<&Said>);
    let mut kinds = BTreeSet::new();
    for said in &touch.history {
        happened(touch, said)?;
        let Some((_, to, sources)) = REPORTS.iter().find(|(report, ..)| *report == said.report) else {
            return Err(format!("has the report {:?}, which is none", clipped(&said.report)));
        };
        if !sources.contains(&said.source.as_str()) {
            return Err(format!(
                "has the report {} by {:?}, who cannot say it",
                said.report,
                clipped(&said.source)
            ));
        }
        // A provider's refusal may stand beside somebody else's word that nothing went out.
        let is_refusal = said.report == "failed" && said.source == "provider";
        if !kinds.insert((&said.report, is_refusal)) {
            return Err(format!("has the report {} twice; expected each once", said.report));
        }
        let is_refused = kinds.iter().any(|(_, is_refusal)| *is_refusal);
        let by_person = decisive.is_some_and(|said| said.source == "person");
        let knows_better = said.source == "provider" || (said.source == "sender" && by_person);
        let outdoes = state == "failed" && *to == "sent" && knows_better && !is_refused;
        if rank(to) > rank(state) || outdoes {
            if rank(state) <= rank("unknown") {
                settled_at_ms = Some(said.recorded_at_ms);
            }
            (state, decisive) = (to, Some(said));
        } else if said.source != "provider" {
            return Err(format!("has the report {} by the {} too late", said.report, said.source));
        }
    }
    if touch.state != state {
        return Err(format!("is {}; expected {state}, as its history says", touch.state));
    }
    if touch.settled_at_ms != settled_at_ms {
        return Err("was settled at another moment than its history says".to_owned());
    }
    let went_well = ["claimed", "sent", "delivered"].contains(&state);
    let says_why = decisive.filter(|said| !went_well || said.source == "person");
    match (says_why, &touch.reason) {
        (None, None) => {}
        (Some(said), Some(reason)) if code_of(reason) == said.code => {}
        (Some(_) | None, _) => return Err("has another reason than its history says".to_owned()),
    }
    let accepted = touch.history.iter().any(|said| said.report == "sent" && said.source == "sender");
    if accepted && touch.provider_id.is_none() {
        return Err("was accepted by the provider without an id; expected the provider's".to_owned());
    }
    Ok(())
}

/// A report is about something that happened after the claim and before it was recorded, as far as two clocks agree.
fn happened(touch: &Touch, said: &Said) -> Result<(), String> {
    let from_ms = touch.claimed_at_ms.map_or(i64::MIN, |at_ms| at_ms.saturating_sub(CLOCK_SKEW_MILLIS_MAX));
    let to_ms = said.recorded_at_ms.saturating_add(CLOCK_SKEW_MILLIS_MAX);
    if (from_ms..=to_ms).contains(&said.at_ms) {
        return Ok(());
    }
    Err(format!(
        "has the report {} of {}; expected a moment between its claim and {}, when it was recorded",
        clipped(&said.report),
        instant(said.at_ms).unwrap_or_default(),
        instant(said.recorded_at_ms).unwrap_or_default()
    ))
}

fn rank(state: &str) -> Option<usize> {
    TAKEN.iter().position(|known| *known == state)
}

/// A reason as a history keeps it.
pub(crate) fn code_of(reason: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '/' | '-');
    reason.trim().chars().take(CODE_CHARS_MAX).map(|c| if plain(c) { c } else { '_' }).collect()
}
