//! Send rates: senders at the same time are granted different moments, and what was granted is kept.

use chrono::TimeDelta;
use domain::send_rate::{PutOff, SendLimits, Slot};
use domain::tenant::Rate;

use super::*;

on_every_backend!(two_senders_are_granted_different_moments, a_quota_and_a_refusal_are_kept_between_senders,);

fn limits(per_second: u16, per_day: Option<u32>) -> SendLimits {
    SendLimits {
        rate: Rate::try_from(per_second).unwrap(),
        per_day: per_day.and_then(std::num::NonZeroU32::new),
    }
}

async fn two_senders_are_granted_different_moments(store: &Store) {
    let (tenant, at) = (scope().tenant, (at(6, 15), TimeDelta::seconds(20)));
    let ask = || store.grant_slots(&tenant, Channel::Email, limits(10, None), &[1, 1, 1], at);
    let (one, other, third) = tokio::join!(ask(), ask(), ask());
    let mut all = [one.unwrap(), other.unwrap(), third.unwrap()].concat();
    all.sort_by_key(|slot| match slot {
        Slot::At(at) | Slot::Later { at, .. } => *at,
    });
    let expected: Vec<Slot> = (0..9).map(|n| Slot::At(at.0 + TimeDelta::milliseconds(100 * n))).collect();
    assert_eq!(all, expected);
    let sms = store.grant_slots(&tenant, Channel::Sms, limits(10, None), &[1], at).await.unwrap();
    assert_eq!(sms, [Slot::At(at.0)], "each channel has its own rate");
}

async fn a_quota_and_a_refusal_are_kept_between_senders(store: &Store) {
    let (tenant, long) = (scope().tenant, TimeDelta::days(2));
    let ask = async |units: &[u32], at| {
        store.grant_slots(&tenant, Channel::Email, limits(10, Some(3)), units, (at, long)).await.unwrap()
    };
    assert_eq!(ask(&[1, 1], at(6, 15)).await.len(), 2);
    store.slow_down(&tenant, Channel::Email, at(6, 15)).await.unwrap();
    assert_eq!(store.send_rate(&tenant, Channel::Email).await.unwrap().permille(at(6, 15)), 500);
    let slots = ask(&[1, 1], at(6, 16)).await;
    assert_eq!(slots[1], Slot::Later { at: at(7, 16), why: PutOff::DailyQuota });
}
