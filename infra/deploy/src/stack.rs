//! What may be done with a stack, by the status that CloudFormation gives it.
//!
//! Invariant: every status has an answer, and one that needs a person says what the person has to do.

use thiserror::Error;

/// What a deployment does next with the stack that it found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NextStep {
    /// There is no stack, or an empty shell of one: its first change set creates it.
    Create,
    /// It stands: a change set changes it.
    Update,
    /// Its first creation failed and nothing of it is left: the remains are removed, then it is created.
    RemoveThenCreate,
    /// Somebody, perhaps an interrupted run of this command, is at work on it: that is waited for.
    Wait,
    /// A rollback could not be finished. It is continued, then the stack is as it was before.
    ContinueRollback,
}

/// Why nothing can be done with a stack.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum StackProblem {
    /// A removal got stuck.
    #[error(
        "stack {stack} could not be removed before ({status}); run `cargo puntual destroy --stack {stack}` again and see which resource it names"
    )]
    HalfRemoved {
        /// The stack.
        stack: String,
        /// Its status.
        status: String,
    },
    /// A status that this program has never heard of.
    #[error(
        "stack {stack} is in the status {status}, which this version does not know; expected one of CloudFormation's, such as CREATE_COMPLETE"
    )]
    UnknownStatus {
        /// The stack.
        stack: String,
        /// Its status.
        status: String,
    },
}

/// What to do with a stack of this status; `None` is no stack at all.
pub(crate) fn next_step(stack: &str, status: Option<&str>) -> Result<NextStep, StackProblem> {
    let Some(status) = status else { return Ok(NextStep::Create) };
    let problem = || (stack.to_owned(), status.to_owned());
    match status {
        "REVIEW_IN_PROGRESS" | "DELETE_COMPLETE" => Ok(NextStep::Create),
        "CREATE_COMPLETE"
        | "UPDATE_COMPLETE"
        | "UPDATE_ROLLBACK_COMPLETE"
        | "IMPORT_COMPLETE"
        | "IMPORT_ROLLBACK_COMPLETE" => Ok(NextStep::Update),
        "ROLLBACK_COMPLETE" | "ROLLBACK_FAILED" | "CREATE_FAILED" => Ok(NextStep::RemoveThenCreate),
        "UPDATE_ROLLBACK_FAILED" => Ok(NextStep::ContinueRollback),
        "DELETE_FAILED" => {
            let (stack, status) = problem();
            Err(StackProblem::HalfRemoved { stack, status })
        }
        busy if busy.ends_with("_IN_PROGRESS") => Ok(NextStep::Wait),
        _ => {
            let (stack, status) = problem();
            Err(StackProblem::UnknownStatus { stack, status })
        }
    }
}

/// How the work on a stack ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// What was asked for is there.
    Done,
    /// It is not, and what was there before is again.
    RolledBack,
    /// It is not, and what was there before is not either, or not wholly.
    Broken,
    /// There is no stack any more.
    Gone,
}

/// How it ended, or `None` while it is still at work.
pub(crate) fn ending(status: &str) -> Option<Ending> {
    match status {
        "CREATE_COMPLETE" | "UPDATE_COMPLETE" | "IMPORT_COMPLETE" => Some(Ending::Done),
        "DELETE_COMPLETE" => Some(Ending::Gone),
        "UPDATE_ROLLBACK_COMPLETE" | "ROLLBACK_COMPLETE" | "IMPORT_ROLLBACK_COMPLETE" => {
            Some(Ending::RolledBack)
        }
        failed if failed.ends_with("_FAILED") => Some(Ending::Broken),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every status of CloudFormation's documentation.
    const STATUSES: [&str; 23] = [
        "CREATE_COMPLETE",
        "CREATE_FAILED",
        "CREATE_IN_PROGRESS",
        "DELETE_COMPLETE",
        "DELETE_FAILED",
        "DELETE_IN_PROGRESS",
        "IMPORT_COMPLETE",
        "IMPORT_IN_PROGRESS",
        "IMPORT_ROLLBACK_COMPLETE",
        "IMPORT_ROLLBACK_FAILED",
        "IMPORT_ROLLBACK_IN_PROGRESS",
        "REVIEW_IN_PROGRESS",
        "ROLLBACK_COMPLETE",
        "ROLLBACK_FAILED",
        "ROLLBACK_IN_PROGRESS",
        "UPDATE_COMPLETE",
        "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS",
        "UPDATE_FAILED",
        "UPDATE_IN_PROGRESS",
        "UPDATE_ROLLBACK_COMPLETE",
        "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS",
        "UPDATE_ROLLBACK_FAILED",
        "UPDATE_ROLLBACK_IN_PROGRESS",
    ];

    #[test]
    fn a_stack_at_work_is_waited_for_and_one_at_rest_is_not() {
        for status in STATUSES.iter().filter(|s| **s != "REVIEW_IN_PROGRESS") {
            let waits = next_step("puntual", Some(status)) == Ok(NextStep::Wait);
            assert_eq!(waits, status.ends_with("_IN_PROGRESS"), "{status}");
            assert_eq!(ending(status).is_none(), waits, "{status}");
        }
    }

    #[test]
    fn an_interrupted_first_run_can_be_run_again() {
        assert_eq!(next_step("puntual", None), Ok(NextStep::Create));
        assert_eq!(next_step("puntual", Some("REVIEW_IN_PROGRESS")), Ok(NextStep::Create));
        assert_eq!(next_step("puntual", Some("ROLLBACK_COMPLETE")), Ok(NextStep::RemoveThenCreate));
        assert_eq!(next_step("puntual", Some("UPDATE_ROLLBACK_FAILED")), Ok(NextStep::ContinueRollback));
    }

    #[test]
    fn what_needs_a_person_says_so() {
        let stuck = next_step("puntual", Some("DELETE_FAILED")).expect_err("nothing can be done with it");
        assert!(stuck.to_string().contains("cargo puntual destroy --stack puntual"), "{stuck}");
        let odd = next_step("puntual", Some("ON_HOLIDAY")).expect_err("nobody knows it");
        assert!(odd.to_string().contains("ON_HOLIDAY"), "{odd}");
    }
}
