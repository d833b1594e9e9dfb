//! Items come back as they went, and stay small.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use domain::channel::Channel;
use domain::contact::Contact;
use domain::delivery::{Code, History, HistoryEntry, Report, Source};
use domain::fence::{FailedAttempt, Fence, Reached, RecordedDecision};
use domain::ids::{CustomerId, ObligationId, StageId, TenantId, TouchId};
use domain::obligation::{Hold, HoldReason};
use domain::touch::TouchItem;
use proptest::prelude::*;

use super::obligation::{holds_of, holds_text};
use super::touch::history_of;
use super::*;
use crate::Scope;

fn day(n: i64) -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 1, 1).unwrap() + chrono::Duration::days(n)
}

/// What DynamoDB charges for: the bytes of names and values, numbers at about half their digits.
fn size(item: &Item) -> usize {
    item.iter()
        .map(|(name, value)| {
            name.len()
                + match value {
                    Value::S(text) => text.len(),
                    Value::N(digits) => digits.len().div_ceil(2) + 1,
                }
        })
        .sum()
}

fn scope() -> Scope {
    Scope::new(TenantId::new("lender-co").unwrap(), 8)
}

#[test]
fn a_fence_with_35_contacts_and_five_open_obligations_fits_one_write_unit() {
    let customer = CustomerId::new("7590-VHVEG-0001").unwrap();
    let at = day(0).and_hms_milli_opt(15, 0, 0, 123).unwrap().and_utc();
    let fence = Fence {
        version: 123_456,
        contacts: (0..35)
            .map(|n| Contact { at: at + chrono::Duration::days(n), channel: Channel::Email, direct: false })
            .collect(),
        reached: (0..5)
            .map(|n| {
                let reached =
                    Reached { due_on: day(n), stage: StageId::new("overdue-firm-15").unwrap(), dpd: 15 };
                (ObligationId::new(format!("9611365{n:05}")).unwrap(), reached)
            })
            .collect(),
        failed: Vec::new(),
        audit_head: Some("a".repeat(64)),
        tries: BTreeMap::new(),
        erased_at: None,
        erasing: false,
        recorded: Some(RecordedDecision { on: day(35), digest: "0123456789abcdef".to_owned() }),
    };
    let item = encode_fence(&scope(), &customer, &fence);
    assert!(size(&item) <= 1_024, "{} bytes", size(&item));
    assert_eq!(decode_fence(&item).unwrap(), fence);
}

proptest! {
    #[test]
    fn a_fence_reads_back(
        version in 1_u64..u64::from(u32::MAX),
        erased_ms in prop::option::of(0_i64..9_000_000_000_000),
        tries in prop::collection::btree_map("[a-z|,#%]{1,8}", 0_u32..9, 0..3),
        contacts in prop::collection::vec((-4_000_000_000_000_i64..9_000_000_000_000, 0_usize..5, any::<bool>()), 0..6),
        reached in prop::collection::btree_map("[a-z|,#% ]{0,6}[a-z|,#%]", (0_i64..900, "[a-z|,%]{1,8}", -40_i32..400), 0..4),
        failed in prop::collection::vec((0_i64..9_000_000_000_000, 0_usize..5, "[a-z|,#% ]{0,6}[a-z|,#%]", -40_i32..400), 0..4),
    ) {
        let fence = Fence {
            version,
            contacts: contacts
                .into_iter()
                .map(|(ms, channel, direct)| Contact {
                    at: DateTime::from_timestamp_millis(ms).unwrap(),
                    channel: Channel::ALL[channel],
                    direct,
                })
                .collect(),
            reached: reached
                .into_iter()
                .filter_map(|(id, (due, stage, dpd))| {
                    let reached = Reached { due_on: day(due), stage: StageId::new(stage).ok()?, dpd };
                    Some((ObligationId::new(id).ok()?, reached))
                })
                .collect::<BTreeMap<_, _>>(),
            failed: failed
                .into_iter()
                .filter_map(|(ms, channel, id, dpd)| {
                    let (obligation, stage) = (ObligationId::new(id).ok()?, StageId::new("d#|3").ok()?);
                    let item = TouchItem { obligation, due_on: day(3), stage, dpd };
                    let at = DateTime::from_timestamp_millis(ms)?;
                    Some(FailedAttempt { at, channel: Channel::ALL[channel], items: vec![item.clone(), item] })
                })
                .collect(),
            audit_head: None,
            tries: tries.into_iter().map(|(id, n)| (TouchId::new(id).unwrap(), n)).collect(),
            erased_at: erased_ms.and_then(DateTime::from_timestamp_millis),
            erasing: erased_ms.is_some_and(|ms| ms % 2 == 0),
            recorded: None,
        };
        let customer = CustomerId::new("c").unwrap();
        let item = encode_fence(&scope(), &customer, &fence);
        prop_assert_eq!(item.contains_key("os"), !fence.reached.is_empty() || !fence.contacts.is_empty());
        prop_assert_eq!(decode_fence(&item).unwrap(), fence);
    }
}

#[test]
fn holds_read_back_and_unreadable_ones_are_refused() {
    let holds = vec![
        Hold { reason: HoldReason::Dispute, from_on: day(3), until_on: Some(day(5)) },
        Hold { reason: HoldReason::Manual, from_on: day(9), until_on: None },
    ];
    assert_eq!(holds_text(&holds), "d20260104-20260106,m20260110-");
    assert_eq!(holds_of(&holds_text(&holds)), Some(holds));
    for wrong in ["", "x20260104-", "d2026014-", "d20260104", "d20260104-2026"] {
        assert_eq!(holds_of(wrong), None, "{wrong}");
    }
}

#[test]
fn an_unreadable_attribute_is_named() {
    let mut item = encode_fence(&scope(), &CustomerId::new("c").unwrap(), &Fence::default());
    set(&mut item, "k", "not contacts");
    let error = decode_fence(&item).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the stored fence at T#lender-co#CUST#c FENCE has an unreadable k; expected contacts"
    );
    item.remove("v");
    assert!(decode_fence(&item).is_err());
}

#[test]
fn a_history_reads_back_and_a_full_one_is_small() {
    let at = day(3).and_hms_milli_opt(15, 0, 0, 7).unwrap().and_utc();
    let history: History = Report::ALL
        .iter()
        .zip(Source::ALL.iter().cycle())
        .map(|(report, source)| HistoryEntry {
            report: *report,
            source: *source,
            code: Code::new("Permanent/OnAccountSuppressionList ana@example.com"),
            at,
            recorded_at: at + chrono::Duration::seconds(3),
        })
        .collect();
    let text = history_text(&history);
    assert_eq!(history.entries().len(), Report::ALL.len());
    assert_eq!(history_of(&text), Some(history));
    assert!(text.len() < 800, "{}", text.len());
    for wrong in ["", "xs1:1:", "ss1", "ss1:g:", "s"] {
        assert_eq!(history_of(wrong), None, "{wrong}");
    }
}
