//! The rate is kept in every second and used where there is work; the quota is kept in every 24 hours.

use proptest::prelude::*;

use super::*;

fn limits(rate: u16, per_day: Option<u32>) -> SendLimits {
    SendLimits {
        rate: Rate::try_from(rate).expect("a rate"),
        per_day: per_day.map(|n| NonZeroU32::new(n).expect("a quota")),
    }
}

fn at_us(us: i64) -> DateTime<Utc> {
    instant(1_790_000_000_000_000 + us)
}

fn long() -> TimeDelta {
    TimeDelta::days(30)
}

/// The most units that any second holds, of calls in any order.
fn fullest(calls: &mut [(i64, u32)], span_us: i64) -> u64 {
    calls.sort_unstable();
    let (mut first, mut held, mut most) = (0, 0_u64, 0);
    for n in 0..calls.len() {
        held += u64::from(calls[n].1);
        while calls[n].0 - calls[first].0 >= span_us {
            held -= u64::from(calls[first].1);
            first += 1;
        }
        most = most.max(held);
    }
    most
}

fn granted(slot: Slot) -> i64 {
    match slot {
        Slot::At(at) => at.timestamp_micros(),
        Slot::Later { at, why } => panic!("put off until {at} for {why:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Senders whose clocks and claims are off by less than the jitter ask in bursts and after pauses.
    #[test]
    fn no_second_holds_more_than_the_rate(
        rate in prop_oneof![1_u16..=60, 61_u16..=3_000],
        demands in prop::collection::vec((0_i64..400_000, 1_u32..=3, 0_i64..JITTER_MS * 1_000), 1..600),
        bursty in any::<bool>(),
    ) {
        let mut state = SendRate::default();
        let (mut now, mut calls) = (0, Vec::new());
        for (n, (pause, units, off)) in demands.into_iter().enumerate() {
            if !bursty || n % 50 == 0 {
                now += pause;
            }
            let units = units.min(u32::from(rate));
            let slot = state.grant(limits(rate, None), units, at_us(now), long());
            calls.push((granted(slot) + off, units));
        }
        prop_assert!(fullest(&mut calls, MICROS_PER_SECOND) <= u64::from(rate));
    }

    #[test]
    fn no_day_holds_more_than_the_quota(
        quota in 1_u32..300,
        demands in prop::collection::vec((0_i64..2_000, 1_u32..=3), 1..400),
    ) {
        let mut state = SendRate::default();
        let (mut now, mut calls) = (0, Vec::new());
        for (pause, units) in demands {
            now += pause * MICROS_PER_SECOND;
            let units = units.min(quota);
            match state.grant(limits(1_000, Some(quota)), units, at_us(now), long()) {
                Slot::At(at) => calls.push((at.timestamp_micros(), units)),
                Slot::Later { at, why } => {
                    prop_assert_eq!(why, PutOff::DailyQuota);
                    prop_assert!(at > at_us(now));
                }
            }
        }
        prop_assert!(fullest(&mut calls, 86_400 * MICROS_PER_SECOND) <= u64::from(quota));
    }
}

/// A minute with work all the time: what is granted of it.
fn units_in_a_minute(rate: u16, sizes: &[u32]) -> u64 {
    let mut state = SendRate::default();
    let mut sum = 0;
    for size in sizes.iter().cycle() {
        let at = granted(state.grant(limits(rate, None), *size, at_us(0), long()));
        if at >= at_us(60 * MICROS_PER_SECOND).timestamp_micros() {
            break;
        }
        sum += u64::from(*size);
    }
    sum
}

#[test]
fn where_there_is_work_at_least_95_percent_of_the_rate_is_used() {
    for rate in [1, 2, 3, 10, 14, 20, 50, 99, 100, 101, 333, 1_000, 9_999, 10_000] {
        let units = units_in_a_minute(rate, &[1]);
        assert!(units * 100 >= u64::from(rate) * 60 * 95, "{units} of {} at {rate}", u64::from(rate) * 60);
        assert!(units <= u64::from(rate) * 60, "{units} at {rate}");
    }
    // A message of several parts cannot be split: of a low rate, what is too little for one stays unused.
    for rate in [100, 200, 1_000] {
        let units = units_in_a_minute(rate, &[1, 2, 1, 3, 2, 1, 1]);
        assert!(units * 100 >= u64::from(rate) * 60 * 95, "{units} of {} at {rate}", u64::from(rate) * 60);
    }
}

#[test]
fn who_cannot_wait_so_long_comes_back_when_it_is_free_one_after_the_other() {
    let mut state = SendRate::default();
    let wait = TimeDelta::seconds(2);
    let mut later = Vec::new();
    for _ in 0..60 {
        match state.grant(limits(10, None), 1, at_us(0), wait) {
            Slot::At(at) => assert!(at <= at_us(2 * MICROS_PER_SECOND)),
            Slot::Later { at, why } => {
                assert_eq!(why, PutOff::SendRate);
                later.push(at);
            }
        }
    }
    assert!((38..=42).contains(&later.len()), "{}", later.len());
    assert!(later[0] > at_us(2 * MICROS_PER_SECOND));
    assert!(later.windows(2).all(|two| two[1] - two[0] == TimeDelta::milliseconds(100)));
}

#[test]
fn a_quota_frees_24_hours_after_the_hour_of_its_use() {
    let mut state = SendRate::default();
    let hour = |n: i64| instant((1_790_000_000 / HOUR_SECONDS + n) * HOUR_SECONDS * MICROS_PER_SECOND);
    let quota = limits(10, Some(3));
    let per_day = quota.per_day.expect("a quota");
    for _ in 0..3 {
        granted(state.grant(quota, 1, hour(0), long()));
    }
    assert_eq!((state.left(per_day, hour(5)), state.left(per_day, hour(25))), (0, 3));
    let frees = Slot::Later { at: hour(25), why: PutOff::DailyQuota };
    assert_eq!(state.grant(quota, 1, hour(1), long()), frees);
    let next = Slot::Later { at: hour(25) + TimeDelta::milliseconds(100), why: PutOff::DailyQuota };
    assert_eq!(state.grant(quota, 1, hour(2), long()), next);
    assert_eq!(state.grant(quota, 1, hour(25), long()), Slot::At(hour(25)));
}

#[test]
fn a_refusal_halves_the_rate_and_the_rate_comes_back() {
    let mut state = SendRate::default();
    let second = |n: i64| at_us(n * MICROS_PER_SECOND);
    state.slow_down(second(0));
    // The refusals of calls that were under way are the same one.
    state.slow_down(second(0) + TimeDelta::milliseconds(900));
    assert_eq!(state.permille(second(0)), 500);
    let first = granted(state.grant(limits(10, None), 1, second(0), long()));
    let then = granted(state.grant(limits(10, None), 1, second(0), long()));
    assert_eq!(then - first, 200_000, "five a second");
    assert_eq!(state.permille(second(4)), 700);
    assert_eq!(state.permille(second(100)), 1_000);
    for n in 200..220 {
        state.slow_down(second(n));
    }
    assert!(state.permille(second(220)) <= 200, "{}", state.permille(second(220)));
    assert!(state.permille(second(220)) >= SLOWEST_PERMILLE);
}

#[test]
fn what_is_kept_is_small_and_reads_back() {
    let mut state = SendRate::default();
    for n in 0..300_000_i64 {
        let now = at_us(n * 3_600_000);
        granted(state.grant(limits(10_000, Some(4_000_000_000)), 3, now, long()));
    }
    state.slow_down(at_us(0));
    let text = serde_json::to_string(&state).unwrap();
    assert!(text.len() < 900, "{} bytes", text.len());
    assert_eq!(serde_json::from_str::<SendRate>(&text).unwrap(), state);
}

#[test]
fn what_was_not_used_of_a_quota_can_be_used_by_another() {
    let mut state = SendRate::default();
    let quota = limits(10, Some(2));
    let Slot::At(at) = state.grant(quota, 2, at_us(0), long()) else { panic!("the quota is free") };
    assert!(matches!(state.grant(quota, 1, at, long()), Slot::Later { why: PutOff::DailyQuota, .. }));
    state.give_back(2, at);
    assert!(matches!(state.grant(quota, 2, at, long()), Slot::At(_)));
    state.give_back(9, at_us(-7_200 * MICROS_PER_SECOND));
    assert_eq!(state.left(NonZeroU32::new(2).unwrap(), at), 0, "nothing was granted then");
    assert_eq!((quota.units_max(), limits(10, None).units_max()), (2, 10));
}
