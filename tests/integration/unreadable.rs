//! What is stored about one customer cannot be read: the customer is named and gets nothing, and nobody else is held up.

use domain::verdict::Decision;
use plan_shard::Planned;

use crate::fixture::{Borrower, Stack, at, customer_id, day};

const THREE: [&str; 3] = ["ana", "bea", "cai"];

/// Three customers whose invoices are three days late on Monday the 23rd and who got a reminder on the due date.
async fn three_are_late() -> Stack {
    let stack = Stack::new().await;
    stack.import(1, &THREE.map(|id| Borrower::new(id).owes("a", 20))).await;
    stack.scan(at(20, 8, 0)).await;
    assert_eq!(stack.outbox.messages().len(), 3);
    stack.take_decisions();
    stack
}

async fn plan_all(stack: &Stack) -> Vec<Planned> {
    let mut planned = Vec::new();
    for shard in 0..stack.scope.shards {
        planned.push(stack.plan_shard(shard, at(23, 8, 0)).await.expect("no shard stops"));
    }
    planned
}

#[tokio::test]
async fn an_unreadable_fence_names_its_customer_and_holds_up_no_other() {
    for attribute in ["v", "r"] {
        let stack = three_are_late().await;
        stack.store.spoil_fence(&stack.tenant(), &customer_id("bea"), attribute).await.unwrap();
        let failed: Vec<_> = plan_all(&stack).await.into_iter().flat_map(|planned| planned.failed).collect();
        assert_eq!(failed.len(), 1, "{attribute}: {failed:?}");
        assert_eq!(failed[0].customer, Some(customer_id("bea")), "{attribute}");
        assert!(!failed[0].retryable, "{attribute}");
        let problem = &failed[0].problem;
        assert!(problem.contains("#CUST#bea") && problem.contains("expected"), "{attribute}: {problem}");
        stack.send(at(23, 8, 0)).await;
        assert_eq!(THREE.map(|id| stack.sent_to(id).len()), [2, 1, 2], "{attribute}");
        let decisions = stack.take_decisions();
        let of_bea: Vec<_> = decisions.iter().filter(|line| line.customer == customer_id("bea")).collect();
        assert_eq!(of_bea.len(), 1, "{attribute}");
        let told = (of_bea[0].verdict, of_bea[0].reasons[0].code.as_str());
        assert_eq!(told, (Decision::Skip, "unreadable"), "{attribute}");
    }
}

#[tokio::test]
async fn a_waiting_touch_that_cannot_be_read_holds_up_no_other() {
    let stack = Stack::new().await;
    stack.import(1, &THREE.map(|id| Borrower::new(id).owes("a", 19))).await;
    stack.scan(at(22, 8, 0)).await;
    let bea = customer_id("bea");
    let place = (day(23), stack.scope.shard_of(&bea));
    assert_eq!(stack.store.spoil_waiting(&stack.tenant(), place, &bea).await, Ok(1));
    assert_eq!(stack.wave(at(23, 18, 0)).await, 2);
    assert_eq!(THREE.map(|id| stack.sent_to(id).len()), [1, 0, 1]);
    // The scan plans the stage again.
    stack.scan(at(23, 18, 30)).await;
    assert_eq!(THREE.map(|id| stack.sent_to(id).len()), [1, 1, 1]);
}
