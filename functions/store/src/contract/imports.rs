//! Imports: the table of rules, item by item, and what they do to fence and index.

use domain::channel::Channel;
use domain::contact::PersonName;
use domain::import::record::AccountRow;
use domain::obligation::{Hold, HoldReason};
use proptest::prelude::*;

use super::*;
use crate::{ErrorClass, ImportCounts, ImportState, StoreError};

on_every_backend!(
    the_same_rows_twice_change_nothing,
    a_new_customer_has_its_obligations_and_a_fence,
    a_newer_equal_row_only_advances_the_sequence,
    every_changed_fact_bumps_the_fence_and_an_older_one_is_rejected,
    a_new_obligation_of_a_known_customer_leaves_the_fence,
    closing_leaves_the_open_index_and_the_fence,
    a_cycle_that_comes_back_goes_on_where_it_was,
    a_refusal_is_not_undone_within_its_file,
    rows_fold_in_order_and_unknown_ones_wait,
    a_customer_with_many_obligations_is_imported_in_parts,
    payments_count_once_and_the_larger_sum_is_paid,
    a_corrected_payment_moves_its_money,
    a_payment_before_its_obligation_waits_for_it,
    the_ledger_knows_a_file_by_its_hash,
);

async fn import(store: &Store, sequence: u64, rows: &[AccountRow]) -> ImportCounts {
    store.import_accounts(&scope(), sequence, day(20), rows).await.unwrap()
}

async fn open_count(store: &Store) -> usize {
    let mut count = 0;
    for shard in 0..scope().shards {
        let page = store.open_page(&scope().tenant, shard, (day(-900), day(900)), None, 100).await.unwrap();
        count += page.items.len();
    }
    count
}

async fn the_same_rows_twice_change_nothing(store: &Store) {
    let rows = [row("c", "a", 5), row("c", "b", 9), row("d", "a", 5)];
    let first = import(store, 1, &rows).await;
    assert_eq!(first, ImportCounts { customers_new: 2, obligations_new: 3, ..Default::default() });
    let before = facts(store, "c").await;
    store.capacity().reset();
    assert_eq!(import(store, 1, &rows).await, ImportCounts { unchanged: 3, ..Default::default() });
    assert_eq!(store.capacity().total().write_units, 0.0);
    assert_eq!(facts(store, "c").await, before);
}

async fn a_new_customer_has_its_obligations_and_a_fence(store: &Store) {
    assert_eq!(store.customer_facts(&scope().tenant, &customer_id("c")).await.unwrap(), None);
    import(store, 1, &[row("c", "a#%|,", 5), row("c", "b", 9)]).await;
    let found = facts(store, "c").await;
    assert_eq!(found.customer, customer("c"));
    assert_eq!(found.fence.version, 1);
    let expected: Vec<_> = [row("c", "a#%|,", 5), row("c", "b", 9)].map(|r| r.obligation).to_vec();
    assert_eq!(found.obligations, expected);
}

async fn a_newer_equal_row_only_advances_the_sequence(store: &Store) {
    import(store, 1, &[row("c", "a", 5)]).await;
    store.capacity().reset();
    assert_eq!(
        import(store, 3, &[row("c", "a", 5)]).await,
        ImportCounts { unchanged: 1, ..Default::default() }
    );
    // One write unit each for the customer and the obligation; the index is not touched.
    assert_eq!(store.capacity().total().write_units, 2.0);
    assert_eq!(facts(store, "c").await.fence.version, 1);
    // The sequence did advance: what came in between is older now.
    let mut late = row("c", "a", 8);
    late.customer.preferred_channel = Some(Channel::Email);
    assert_eq!(import(store, 2, &[late]).await, ImportCounts { older_rejected: 1, ..Default::default() });
    assert_eq!(facts(store, "c").await.obligations[0].due_on, day(5));
    assert_eq!(facts(store, "c").await.customer.preferred_channel, None);
}

async fn every_changed_fact_bumps_the_fence_and_an_older_one_is_rejected(store: &Store) {
    type Change = (&'static str, fn(&mut AccountRow));
    let changes: [Change; 8] = [
        ("due", |r| r.obligation.due_on = day(7)),
        ("amount", |r| r.obligation.amount.amount_minor = 900),
        ("paid", |r| r.obligation.paid_minor = 100),
        ("closed", |r| r.closed_on = Some(day(19))),
        ("held", |r| {
            r.dispute = Some(Hold { reason: HoldReason::Dispute, from_on: day(10), until_on: None });
        }),
        ("consent", |r| r.customer.consents[0].granted = false),
        ("contact point", |r| r.customer.contact_points.clear()),
        ("preferred", |r| r.customer.preferred_channel = Some(Channel::Email)),
    ];
    for (n, (what, change)) in changes.into_iter().enumerate() {
        let id = format!("c{n}");
        import(store, 5, &[row(&id, "a", 5)]).await;
        let mut changed = row(&id, "a", 5);
        change(&mut changed);
        let older = import(store, 4, std::slice::from_ref(&changed)).await;
        assert_eq!(older.older_rejected + older.unchanged, 1, "{what}");
        assert_eq!(facts(store, &id).await.fence.version, 1, "{what}");
        let newer = import(store, 6, std::slice::from_ref(&changed)).await;
        assert_eq!(newer.customers_changed + newer.obligations_changed, 1, "{what}: {newer:?}");
        let found = facts(store, &id).await;
        assert_eq!(found.fence.version, 2, "{what}");
        assert_eq!(found.customer, changed.customer, "{what}");
        assert_eq!(found.obligations[0], changed.snapshot_on(day(20)).unwrap(), "{what}");
    }
}

async fn a_new_obligation_of_a_known_customer_leaves_the_fence(store: &Store) {
    import(store, 1, &[row("c", "a", 5)]).await;
    let counts = import(store, 2, &[row("c", "b", 9)]).await;
    assert_eq!(counts, ImportCounts { obligations_new: 1, ..Default::default() });
    assert_eq!(facts(store, "c").await.fence.version, 1);
    assert_eq!(facts(store, "c").await.obligations.len(), 2);
}

async fn closing_leaves_the_open_index_and_the_fence(store: &Store) {
    with_two_obligations(store).await;
    let before = facts(store, "c").await;
    claim_at(store, &scope(), &touch("c", &["a", "b"], ("s1", 1), 6), &before.fence, at(6, 15))
        .await
        .unwrap();
    assert_eq!(open_count(store).await, 2);
    let mut closed = row("c", "a", 5);
    closed.closed_on = Some(day(8));
    import(store, 2, &[closed]).await;
    let after = facts(store, "c").await;
    assert_eq!(open_count(store).await, 1);
    assert_eq!(after.fence.reached.keys().collect::<Vec<_>>(), [&obligation_id("b")]);
    assert_eq!(after.fence.version, 3);
    assert_eq!(after.fence.contacts.len(), 1);
}

async fn a_cycle_that_comes_back_goes_on_where_it_was(store: &Store) {
    with_two_obligations(store).await;
    let before = facts(store, "c").await;
    let claim = touch("c", &["a"], ("s1", 1), 6);
    claim_at(store, &scope(), &claim, &before.fence, at(6, 15)).await.unwrap();
    let sent = facts(store, "c").await.fence.reached[&obligation_id("a")].clone();
    let due = (sent.due_on - day(0)).num_days();
    let reached = async || facts(store, "c").await.fence.reached.get(&obligation_id("a")).cloned();
    // The due date moves away and comes back.
    import(store, 2, &[row("c", "a", due + 3)]).await;
    assert_eq!(reached().await, None);
    import(store, 3, &[row("c", "a", due)]).await;
    assert_eq!(reached().await, Some(sent.clone()));
    // It is paid, and the payment is taken back, once with the due date moved in between.
    let mut closed = row("c", "a", due);
    closed.closed_on = Some(day(8));
    import(store, 4, &[closed]).await;
    assert_eq!(reached().await, None);
    import(store, 5, &[row("c", "a", due + 3)]).await;
    assert_eq!(reached().await, None);
    import(store, 6, &[row("c", "a", due)]).await;
    assert_eq!(reached().await, Some(sent));
}

async fn a_refusal_is_not_undone_within_its_file(store: &Store) {
    let says = |obligation: &str, granted: bool| {
        let mut row = row("c", obligation, 5);
        row.customer.consents.iter_mut().for_each(|c| c.granted = granted);
        row
    };
    import(store, 1, &[says("a", false), says("b", true)]).await;
    let found = facts(store, "c").await.customer;
    let point = found.consents.first().unwrap().channel;
    assert_eq!(found.reachable(point, Purpose::Overdue), domain::customer::Reach::OptedOut);
}

async fn rows_fold_in_order_and_unknown_ones_wait(store: &Store) {
    let mut first = row("c", "a", 5);
    first.customer.name = PersonName::new("Old");
    let mut later = row("c", "b", 6);
    later.known_on = Some(day(21));
    later.customer.name = PersonName::new("Not yet");
    let again = row("c", "a", 7);
    let counts = import(store, 1, &[first, later, again]).await;
    let expected = ImportCounts {
        customers_new: 1,
        obligations_new: 1,
        not_yet_known: 1,
        repeated: 1,
        ..Default::default()
    };
    assert_eq!(counts, expected);
    let found = facts(store, "c").await;
    assert_eq!(found.customer.name, PersonName::new("Ana"));
    assert_eq!((found.obligations.len(), found.obligations[0].due_on), (1, day(7)));
}

async fn a_customer_with_many_obligations_is_imported_in_parts(store: &Store) {
    let rows: Vec<AccountRow> = (0..230).map(|n| row("c", &format!("o{n:03}"), n)).collect();
    let counts = import(store, 1, &rows).await;
    assert_eq!(counts, ImportCounts { customers_new: 1, obligations_new: 230, ..Default::default() });
    assert_eq!(facts(store, "c").await.obligations.len(), 230);
    assert_eq!(import(store, 1, &rows).await, ImportCounts { unchanged: 230, ..Default::default() });
}

async fn payments_count_once_and_the_larger_sum_is_paid(store: &Store) {
    let mut partly = row("c", "a", 5);
    partly.obligation.paid_minor = 300;
    import(store, 1, &[partly]).await;
    let rows = [payment("p1", "a", 200, 6), payment("p2", "a", 250, 7), payment("p3", "a", 9, 30)];
    let counts = store.import_payments(&scope(), 1, day(20), &rows).await.unwrap();
    assert_eq!(counts, ImportCounts { payments_new: 2, not_yet_known: 1, ..Default::default() });
    let found = facts(store, "c").await;
    assert_eq!((found.obligations[0].paid_minor, found.fence.version), (450, 2));
    let counts = store.import_payments(&scope(), 2, day(20), &rows[..2]).await.unwrap();
    assert_eq!(counts, ImportCounts { unchanged: 2, ..Default::default() });
    assert_eq!(facts(store, "c").await, found);
    // A newer snapshot may know of more, and does not lose the payments.
    let mut more = row("c", "a", 5);
    more.obligation.paid_minor = 500;
    import(store, 2, &[more]).await;
    assert_eq!(facts(store, "c").await.obligations[0].paid_minor, 500);
    let last = payment("p4", "a", 550, 9);
    store.import_payments(&scope(), 3, day(20), &[last]).await.unwrap();
    assert_eq!(facts(store, "c").await.obligations[0].paid_minor, 1_000);
    assert_eq!(open_count(store).await, 0);
}

async fn a_corrected_payment_moves_its_money(store: &Store) {
    with_two_obligations(store).await;
    let import = |sequence, row| async move {
        store.import_payments(&scope(), sequence, day(20), &[row]).await.unwrap()
    };
    import(2, payment("p1", "a", 1_000, 6)).await;
    assert_eq!(open_count(store).await, 1);
    let older = import(1, payment("p1", "b", 1_000, 6)).await;
    assert_eq!(older, ImportCounts { older_rejected: 1, ..Default::default() });
    let moved = import(3, payment("p1", "b", 400, 6)).await;
    assert_eq!(moved, ImportCounts { payments_changed: 1, ..Default::default() });
    let paid: Vec<i64> = facts(store, "c").await.obligations.iter().map(|o| o.paid_minor).collect();
    assert_eq!(paid, [0, 400]);
    assert_eq!(open_count(store).await, 2);
}

async fn a_payment_before_its_obligation_waits_for_it(store: &Store) {
    store.import_payments(&scope(), 1, day(20), &[payment("p1", "a", 1_000, 6)]).await.unwrap();
    assert_eq!(store.customer_facts(&scope().tenant, &customer_id("c")).await.unwrap(), None);
    let counts = import(store, 1, &[row("c", "a", 5)]).await;
    assert_eq!(counts, ImportCounts { customers_new: 1, obligations_new: 1, ..Default::default() });
    let found = facts(store, "c").await;
    assert_eq!((found.obligations[0].paid_minor, found.fence.version), (1_000, 2));
    assert_eq!(open_count(store).await, 0);
}

async fn the_ledger_knows_a_file_by_its_hash(store: &Store) {
    let tenant = &scope().tenant;
    assert!(store.finish_import(tenant, "abc", &ImportCounts::default()).await.is_err());
    assert!(store.import_progress(tenant, "abc", 1).await.is_err());
    assert_eq!(store.begin_import(tenant, "abc").await, Ok(ImportState::New));
    store.import_progress(tenant, "abc", 500).await.unwrap();
    store.import_progress(tenant, "abc", 250).await.unwrap();
    assert_eq!(store.begin_import(tenant, "abc").await, Ok(ImportState::InProgress { rows_done: 500 }));
    let counts = ImportCounts { obligations_new: 7, ..Default::default() };
    store.finish_import(tenant, "abc", &counts).await.unwrap();
    store.finish_import(tenant, "abc", &counts).await.unwrap();
    assert!(store.finish_import(tenant, "abc", &ImportCounts::default()).await.is_err());
    assert_eq!(store.begin_import(tenant, "abc").await, Ok(ImportState::Done(counts)));
}

/// Two threads write about one customer at once. Whoever loses a turn reads and decides again, so that no payment
/// is lost and every change has a version of its own.
#[test]
fn imports_that_race_lose_nothing() {
    const ROUNDS: u64 = 40;
    let runtime = || tokio::runtime::Builder::new_current_thread().build().unwrap();
    let fixture = runtime().block_on(memory());
    runtime().block_on(import(&fixture, 1, &[row("c", "a", 5)]));
    let until_done = |result: Result<ImportCounts, StoreError>| match result {
        Ok(_) => true,
        // One side may lose every turn; its caller tries again later.
        Err(error) => {
            assert_eq!(error.class(), ErrorClass::Retryable, "{error}");
            false
        }
    };
    std::thread::scope(|threads| {
        threads.spawn(|| {
            for n in 0..ROUNDS {
                let rows = [payment(&format!("p{n}"), "a", 10, 6)];
                let paid = || runtime().block_on(fixture.import_payments(&scope(), 1, day(20), &rows));
                while !until_done(paid()) {}
            }
        });
        threads.spawn(|| {
            for n in 0..ROUNDS {
                let mut changed = row("c", "a", 5);
                changed.obligation.amount.amount_minor = 2_000 + n as i64;
                let rows = [changed];
                let changed = || runtime().block_on(fixture.import_accounts(&scope(), 2 + n, day(20), &rows));
                while !until_done(changed()) {}
            }
        });
    });
    let found = runtime().block_on(facts(&fixture, "c"));
    assert_eq!(found.obligations[0].paid_minor, 10 * ROUNDS as i64);
    assert_eq!(found.obligations[0].amount.amount_minor, 2_000 + ROUNDS as i64 - 1);
    assert_eq!(found.fence.version, 1 + 2 * ROUNDS);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_order_and_repetition_of_snapshots_ends_in_the_newest(
        order in prop::collection::vec(0_usize..5, 1..12),
        dues in prop::collection::vec((0_i64..3, 0_i64..3, any::<bool>()), 5),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let fixture = memory().await;
            for n in &order {
                import(&fixture, *n as u64, &snapshot(dues[*n])).await;
            }
            let newest = *order.iter().max().unwrap();
            let alone = memory().await;
            import(&alone, 1, &snapshot(dues[newest])).await;
            let (mixed, alone) = (facts(&fixture, "c").await, facts(&alone, "c").await);
            prop_assert_eq!(mixed.customer, alone.customer);
            prop_assert_eq!(mixed.obligations, alone.obligations);
            Ok(())
        })?;
    }
}

fn snapshot((due, paid, closed): (i64, i64, bool)) -> [AccountRow; 2] {
    let (mut a, mut b) = (row("c", "a", due), row("c", "b", 5));
    b.obligation.paid_minor = paid * 500;
    b.customer.name = PersonName::new(format!("Ana {paid}"));
    a.customer.name = b.customer.name.clone();
    a.closed_on = closed.then_some(day(1));
    [a, b]
}
