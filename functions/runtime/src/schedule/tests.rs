//! Which schedules a tenant has, when they start something, and how they are put right.

use chrono::{Days, NaiveDate, NaiveTime, TimeZone};
use domain::tenant::Pause;
use proptest::prelude::*;
use store::{ChangeOf, TenantAction};

use super::*;

fn settings(id: &str) -> Tenant {
    let text = include_str!("../../../../infra/demo/tenant.toml");
    let demo: Tenant = toml::from_str(text).unwrap();
    Tenant { id: TenantId::new(id).unwrap(), ..demo }
}

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

async fn stored(settings: &[Tenant]) -> Store {
    let store = Store::memory().unwrap();
    store.create_tables().await.unwrap();
    for tenant in settings {
        let document = serde_json::to_string(tenant).unwrap();
        let by = "sub".to_owned();
        let change =
            ChangeOf { action: TenantAction::Created, by, at: at("2026-11-20T10:00:00Z"), reason: None };
        store.change_settings(&tenant.id, None, document, change).await.unwrap();
    }
    store
}

#[test]
fn a_tenant_has_a_daily_scan_in_its_own_time_zone() {
    let [scan, waves, sweep] = Schedule::of(&settings("andino")).unwrap();
    assert_eq!((scan.name.as_str(), scan.rule.expression().as_str()), ("scan-andino", "cron(0 8 * * ? *)"));
    assert_eq!(scan.rule.zone_name(), "America/Bogota");
    let input = serde_json::to_string(&scan.event).unwrap();
    assert_eq!(input, r#"{"kind":"scan","tenant":"andino"}"#);
    assert_eq!(serde_json::from_str::<DueEvent>(&input).unwrap(), scan.event);
    assert_eq!((waves.name.as_str(), waves.rule.expression().as_str()), ("waves-andino", "rate(15 minutes)"));
    assert_eq!((sweep.name.as_str(), sweep.rule.expression().as_str()), ("sweep-andino", "rate(60 minutes)"));
    assert!(Schedule::of(&settings("no slug")).is_err());
}

#[test]
fn while_a_tenant_is_paused_only_its_claims_are_swept() {
    let paused_at = at("2026-11-20T10:00:00Z");
    let pause = Pause { reason: "x".to_owned(), by: "y".to_owned(), paused_at };
    let paused = Tenant { paused: Some(pause), ..settings("a") };
    assert_eq!(Schedule::of(&paused).unwrap().map(|s| s.enabled), [false, false, true]);
    assert_eq!(Schedule::of(&settings("a")).unwrap().map(|s| s.enabled), [true; 3]);
}

#[test]
fn a_wave_is_on_the_minute_and_never_in_the_past() {
    let tenant = TenantId::new("a").unwrap();
    let now = at("2026-11-20T10:00:30Z");
    let of = |moment: &str| Schedule::of_wave(&tenant, at(moment), now).unwrap();
    let later = of("2026-11-23T12:06:01Z");
    assert_eq!(later.name, "wave-a-20261123T1207Z");
    assert_eq!(later.rule.expression(), "at(2026-11-23T12:07:00)");
    assert_eq!(of("2026-11-23T12:07:00Z"), later);
    assert_eq!(of("2026-11-19T00:00:00Z").name, "wave-a-20261120T1002Z");
    let longest = TenantId::new("x".repeat(40)).unwrap();
    assert!(Schedule::of_wave(&longest, now, now).unwrap().name.len() <= 64);
}

#[test]
fn a_daily_scan_starts_once_on_days_with_a_clock_change() {
    let local = NaiveTime::from_hms_opt(2, 30, 0).unwrap();
    let rule = Rule::Daily { at: local, zone: chrono_tz::America::New_York };
    // 2026-03-08 has no 02:30; 2026-11-01 has one 01:30 too many, and one 02:30.
    assert_eq!(rule.next_after(at("2026-03-08T00:00:00Z")), Some(at("2026-03-08T07:00:00Z")));
    assert_eq!(rule.next_after(at("2026-03-08T07:00:00Z")), Some(at("2026-03-09T06:30:00Z")));
    let twice =
        Rule::Daily { at: NaiveTime::from_hms_opt(1, 30, 0).unwrap(), zone: chrono_tz::America::New_York };
    assert_eq!(twice.next_after(at("2026-11-01T00:00:00Z")), Some(at("2026-11-01T05:30:00Z")));
    assert_eq!(twice.next_after(at("2026-11-01T05:30:00Z")), Some(at("2026-11-02T06:30:00Z")));
}

proptest! {
    #[test]
    fn between_two_scans_lies_one_local_midnight(
        day in 0_u64..3_000, minute in 0_u32..1_440, zone in prop::sample::select(vec![
            chrono_tz::America::Bogota, chrono_tz::America::Santiago, chrono_tz::America::Asuncion,
            chrono_tz::America::New_York, chrono_tz::America::Sao_Paulo,
        ])
    ) {
        let on = NaiveDate::from_ymd_opt(2024, 1, 1).unwrap() + Days::new(day);
        let local = NaiveTime::from_num_seconds_from_midnight_opt(minute * 60, 0).unwrap();
        let from = zone.from_local_datetime(&on.and_hms_opt(12, 0, 0).unwrap()).earliest().unwrap().to_utc();
        let rule = Rule::Daily { at: local, zone };
        let first = rule.next_after(from).unwrap();
        let second = rule.next_after(first).unwrap();
        let days = |at: DateTime<Utc>| at.with_timezone(&zone).date_naive();
        prop_assert_eq!(days(second), days(first) + Days::new(1));
    }
}

#[test]
fn what_is_due_comes_once_and_one_moment_is_gone_after_it() {
    let memory = MemorySchedules::default();
    for schedule in Schedule::of(&settings("a")).unwrap() {
        memory.put(&schedule);
    }
    let wave_at = at("2026-11-20T13:05:00Z");
    let tenant = TenantId::new("a").unwrap();
    memory.put(&Schedule::of_wave(&tenant, wave_at, at("2026-11-20T10:00:00Z")).unwrap());
    let from = at("2026-11-20T12:59:00Z");
    assert_eq!(memory.next_after(from), Some(at("2026-11-20T13:00:00Z")));
    let due = memory.take_due(from, wave_at);
    let kinds: Vec<_> = due
        .iter()
        .map(|(at, e)| (at.to_rfc3339(), serde_json::to_value(e).unwrap()["kind"].clone()))
        .collect();
    assert_eq!(kinds[0], ("2026-11-20T13:00:00+00:00".to_owned(), "scan".into()));
    assert_eq!(due.len(), 4, "{kinds:?}");
    assert_eq!(memory.take_due(wave_at, at("2026-11-20T13:14:00Z")), []);
}

#[tokio::test]
async fn schedules_are_put_right_from_the_settings_alone() {
    let store = stored(&[settings("a"), settings("b")]).await;
    let memory = MemorySchedules::default();
    let schedules = Schedules::Memory(memory.clone());
    let made = reconcile(&store, &schedules).await.unwrap();
    assert_eq!((made.created, made.kept), (6, 0));
    let right = memory.all();
    // By hand: one changed, one removed, one of a tenant that is not there, and a wave, which is nobody's business.
    let [mut scan, waves, _] = Schedule::of(&settings("a")).unwrap();
    scan.enabled = false;
    memory.put(&scan);
    memory.remove(&waves.name);
    memory.put(&Schedule { name: "scan-gone".to_owned(), ..scan.clone() });
    let again = reconcile(&store, &schedules).await.unwrap();
    let expected = Reconciled { created: 1, updated: 1, removed: 1, kept: 4, skipped: 0 };
    assert_eq!(again, expected);
    assert_eq!(memory.all(), right);
    let last = reconcile(&store, &schedules).await.unwrap();
    assert_eq!(last, Reconciled { kept: 6, ..Reconciled::default() });
}

#[tokio::test]
async fn a_tenant_that_cannot_be_read_keeps_its_schedules() {
    let store = stored(&[settings("a")]).await;
    let memory = MemorySchedules::default();
    let schedules = Schedules::Memory(memory.clone());
    reconcile(&store, &schedules).await.unwrap();
    let doc = store::SettingsDoc { version: 9, document: "{\"shards\":9}".to_owned() };
    store.put_settings(&TenantId::new("a").unwrap(), &doc).await.unwrap();
    let done = reconcile(&store, &schedules).await.unwrap();
    assert_eq!(done, Reconciled { skipped: 1, ..Reconciled::default() });
    assert_eq!(memory.all().len(), 3);
}
