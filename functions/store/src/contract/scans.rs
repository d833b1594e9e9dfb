//! The open index, page by page.

use domain::obligation::{Hold, HoldReason};

use super::*;

on_every_backend!(
    a_scan_gives_what_is_due_in_the_range_with_its_holds,
    a_scan_goes_on_where_a_page_ended,
    the_fence_is_in_the_index_while_something_was_reached_or_a_claim_may_be_open,
);

async fn a_scan_gives_what_is_due_in_the_range_with_its_holds(store: &Store) {
    let mut held = row("c", "b", 5);
    let hold = Hold { reason: HoldReason::Dispute, from_on: day(1), until_on: None };
    held.dispute = Some(hold.clone());
    let rows = [row("c", "a", 4), held, row("c", "d", 6), row("c#", "e#f", 5)];
    store.import_accounts(&scope(), 1, day(2), &rows).await.unwrap();
    let mut found = Vec::new();
    for shard in 0..scope().shards {
        let page = store.open_page(&scope().tenant, shard, (day(5), day(5)), None, 100).await.unwrap();
        assert!(page.items.iter().all(|e| scope().shard_of(&e.customer) == shard));
        found.extend(page.items);
    }
    found.sort_by(|a, b| a.obligation.cmp(&b.obligation));
    assert_eq!(found.len(), 2);
    assert_eq!((found[0].obligation.as_str(), found[0].due_on), ("b", day(5)));
    assert_eq!(found[0].holds, [hold]);
    assert_eq!((found[1].customer.as_str(), found[1].obligation.as_str()), ("c#", "e#f"));
    let backwards = store.open_page(&scope().tenant, 0, (day(6), day(5)), None, 100).await.unwrap();
    assert!(backwards.items.is_empty());
}

async fn a_scan_goes_on_where_a_page_ended(store: &Store) {
    let rows: Vec<AccountRow> = (0..25).map(|n| row("c", &format!("o{n:02}"), n % 3)).collect();
    store.import_accounts(&scope(), 1, day(0), &rows).await.unwrap();
    let shard = scope().shard_of(&customer_id("c"));
    let (mut cursor, mut found, mut pages) = (None, Vec::new(), 0);
    loop {
        let range = (day(0), day(9));
        let page = store.open_page(&scope().tenant, shard, range, cursor, 10).await.unwrap();
        found.extend(page.items.into_iter().map(|e| (e.due_on, e.obligation)));
        pages += 1;
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!((found.len(), pages), (25, 3));
    assert!(found.is_sorted());
}

async fn the_fence_is_in_the_index_while_something_was_reached_or_a_claim_may_be_open(store: &Store) {
    with_two_obligations(store).await;
    let (scope, shard) = (scope(), scope().shard_of(&customer_id("c")));
    let page = store.reached_page(&scope.tenant, shard, None, 10).await.unwrap();
    assert!(page.items.is_empty());
    let fence = facts(store, "c").await.fence;
    let claim = claim_at(store, &scope, &touch("c", &["a"], ("s1", 1), 6), &fence, at(6, 15)).await.unwrap();
    let page = store.reached_page(&scope.tenant, shard, None, 10).await.unwrap();
    assert_eq!(page.items.len(), 1);
    assert_eq!((page.items[0].customer.as_str(), &page.items[0].reached), ("c", &claim.fence.reached));
    // The range of due dates never meets a fence.
    let open = store.open_page(&scope.tenant, shard, (day(-9_999), day(9_999)), None, 10).await.unwrap();
    assert_eq!(open.items.len(), 2);
    store.import_payments(&scope, 2, day(20), &[payment("p", "a", 1_000, 7)]).await.unwrap();
    let page = store.reached_page(&scope.tenant, shard, None, 10).await.unwrap();
    // The claim is still open: the sweep must find it although nothing is owed any more.
    assert_eq!((page.items.len(), page.items[0].reached.len()), (1, 0));
    let last_at = page.items[0].last_contact_at.unwrap();
    let contact_before = last_at - chrono::Duration::hours(1);
    for (known_at, left) in [(contact_before, 1), (last_at, 0)] {
        store.leave_open_index(&scope.tenant, &customer_id("c"), known_at).await.unwrap();
        let page = store.reached_page(&scope.tenant, shard, None, 10).await.unwrap();
        assert_eq!(page.items.len(), left);
    }
}
